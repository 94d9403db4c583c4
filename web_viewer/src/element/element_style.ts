/** How the custom element looks, as a sheet that needs no `style-src` of a page's content security policy. */
const CSS = `
:host { display: block; position: relative; aspect-ratio: 1; min-width: 0; overflow: hidden; contain: content; }
:host([hidden]) { display: none; }
canvas { display: block; width: 100%; height: 100%; outline-offset: -3px; }
:host([controls]) canvas { touch-action: none; cursor: grab; }
:host([controls]) canvas:active { cursor: grabbing; }
.cover { position: absolute; inset: 0; display: grid; place-items: center; pointer-events: none; }
.cover ::slotted(*), .cover img { width: 100%; height: 100%; object-fit: contain; }
.fallback { display: none; position: absolute; inset: 0; place-items: center; }
.broken .fallback { display: grid; }
.drawn .cover, .broken .cover, .broken canvas { display: none; }
.bar { display: none; position: absolute; inset: auto 0 0; gap: .5em; align-items: center; padding: .5em .75em;
  font: 500 .8125rem/1 system-ui, sans-serif; color: #fff; background: linear-gradient(transparent, #0009); }
:host([controls]) .shown.clip .bar { display: flex; }
button { all: unset; box-sizing: border-box; width: 2.25em; height: 2.25em; border-radius: 50%; cursor: pointer;
  display: grid; place-items: center; }
button:hover { background: #fff3; }
button:focus-visible, input:focus-visible, canvas:focus-visible { outline: 2px solid #4da3ff; }
svg { width: 1.35em; height: 1.35em; fill: currentColor; }
input { flex: 1; min-width: 0; margin: 0; accent-color: #fff; }
.time { font-variant-numeric: tabular-nums; white-space: nowrap; }
`;

let sheet: CSSStyleSheet | null = null;

/** Return the sheet; all elements share one. */
export function elementStyle(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  return sheet;
}
