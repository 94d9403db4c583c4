/** The keyboard map: one table, which the page obeys and the help shows. */

export interface Key {
  /** As `KeyboardEvent.key` has it. */
  key: string;
  what: string;
  act: () => void;
}

/** Keys of the canvas itself (`orbit.ts`), for the help. */
export const CANVAS_KEYS: [string, string][] = [
  ["← → ↑ ↓", "turn around the head"],
  ["+ −", "nearer, further"],
  ["0", "back to the first view"],
];

/** Obey the keys wherever nothing else takes them. */
export function listen(keys: Key[]): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const at = event.target as HTMLElement;
    if (document.querySelector("dialog[open]")) return;
    // Fields take letters; buttons and switches take the space bar only.
    if (at.closest("input:not([type=range]):not([type=checkbox]), select, textarea")) return;
    if (event.key === " " && at.closest("button, input, summary, select")) return;
    const found = keys.find(({ key }) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found.act();
  });
}
