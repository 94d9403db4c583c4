/** Small helpers for building the page. */

type Child = Node | string | null | undefined;

/** Return a new element with properties (and attributes, where the name has a dash) and children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Record<string, unknown> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, String(value));
    else Object.assign(made, { [name]: value });
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Return a stroked icon. */
export function icon(path: string): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

/** Return the element with an id that the page is known to have. */
export function byId<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

export interface Slider {
  row: HTMLElement;
  /** Show a value that somebody else set, unless it is held or being dragged. */
  follow(value: number): void;
  /** Stop holding it. */
  release(): void;
}

export interface SliderOptions {
  label: string;
  /** The name that programs use, shown on hover; the label when absent. */
  name?: string;
  low: number;
  high: number;
  value?: number;
  unit?: string;
  change: (value: number) => void;
  /** A double click on the label lets go of it. */
  reset: () => void;
}

/** Return a labelled slider that marks itself as held once a person has moved it. */
export function slider({ label, name = label, low, high, value = 0, unit = "", change, reset }: SliderOptions): Slider {
  const digits = high - low > 10 ? 0 : 2;
  const input = element("input", { type: "range", min: String(low), max: String(high), step: "any" });
  const output = element("output");
  const row = element(
    "label",
    { className: "slider" },
    element("span", { textContent: label, title: name }),
    output,
    input,
  );
  const paint = (now: number) => {
    const zero = (Math.max(low, Math.min(high, 0)) - low) / (high - low);
    const at = (now - low) / (high - low);
    const [from, to] = [Math.min(zero, at), Math.max(zero, at)];
    const span = Math.max(0, Math.min(1, to - from));
    input.style.setProperty("--span", `${span * 100}%`);
    input.style.setProperty("--from", `${span < 1 ? (from / (1 - span)) * 100 : 0}%`);
    output.textContent = now.toFixed(digits) + unit;
  };
  const show = (now: number) => {
    input.value = String(now);
    paint(now);
  };
  input.addEventListener("input", () => {
    row.classList.add("held");
    paint(input.valueAsNumber);
    change(input.valueAsNumber);
  });
  const release = () => {
    row.classList.remove("held");
    show(value);
  };
  row.addEventListener("dblclick", () => {
    release();
    reset();
  });
  show(value);
  return {
    row,
    release,
    follow(now) {
      if (!row.classList.contains("held") && Math.abs(now - input.valueAsNumber) > (high - low) / 500) show(now);
    },
  };
}
