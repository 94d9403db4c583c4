/** The controls that the page is built of: buttons, switches, choices, sliders with a number to type into. */
import { element, icon } from "../elements.ts";

/** Return a button; `pressed` makes it a toggle. */
export function button(
  label: string,
  act: () => void,
  { path, kind = "", pressed, title = label }: { path?: string; kind?: string; pressed?: boolean; title?: string } = {},
): HTMLButtonElement {
  const made = element("button", { type: "button", className: kind, title }, path ? icon(path) : label);
  if (path) made.setAttribute("aria-label", label);
  if (pressed !== undefined) made.setAttribute("aria-pressed", String(pressed));
  made.addEventListener("click", act);
  return made;
}

/** Show whether a toggle is pressed. */
export function press(made: HTMLElement, pressed: boolean): void {
  made.setAttribute("aria-pressed", String(pressed));
}

/** Return a labelled switch; `set` shows another state without telling. */
export function toggle(
  label: string,
  on: boolean,
  change: (on: boolean) => void,
  hint = "",
): { row: HTMLElement; set: (on: boolean) => void } {
  const input = element("input", { type: "checkbox", checked: on, role: "switch" });
  input.addEventListener("change", () => change(input.checked));
  const text = element("span", {}, label);
  if (hint) text.append(element("small", { textContent: hint }));
  return {
    row: element("label", { className: "switch" }, text, input),
    set: (now) => {
      input.checked = now;
    },
  };
}

/** Return a row of buttons of which one is pressed; arrow keys move between them. */
export function choice<T extends string>(
  name: string,
  options: { value: T; label: string; title?: string }[],
  first: T,
  change: (value: T) => void,
): { row: HTMLElement; set: (value: T) => void } {
  const row = element("div", { className: "segments", role: "radiogroup", "aria-label": name });
  const set = (value: T) => {
    options.forEach((option, i) => {
      const made = row.children[i] as HTMLElement;
      const chosen = option.value === value;
      made.setAttribute("aria-checked", String(chosen));
      made.tabIndex = chosen ? 0 : -1;
    });
  };
  options.forEach(({ value, label, title = label }, i) => {
    const made = element("button", { type: "button", role: "radio", textContent: label, title });
    made.addEventListener("click", () => {
      set(value);
      change(value);
    });
    made.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = row.children[(i + step + options.length) % options.length] as HTMLElement;
      next.focus();
      next.click();
    });
    row.append(made);
  });
  set(first);
  return { row, set };
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
  digits?: number;
  change: (value: number) => void;
  /** A double click, or Delete, lets go of it. */
  reset: () => void;
}

let made = 0;

/** Return a labelled slider with a number to type into, that marks itself as held once a person has moved it. */
export function slider(options: SliderOptions): Slider {
  const { label, name = label, low, high, value = 0, unit = "", change, reset } = options;
  const digits = options.digits ?? (high - low > 10 ? 0 : 2);
  const id = `slider-${++made}`;
  const input = element("input", { id, type: "range", min: String(low), max: String(high), step: "any" });
  // Reached by Enter on the slider, so that the tab key does not meet everything twice.
  const number = element("input", {
    type: "text",
    inputMode: "decimal",
    tabIndex: -1,
    "aria-label": `${label}, number`,
  });
  const row = element(
    "div",
    { className: "slider" },
    element("label", { htmlFor: id, textContent: label, title: name }),
    number,
    input,
  );
  const show = (now: number) => {
    input.value = String(now);
    const zero = (Math.max(low, Math.min(high, 0)) - low) / (high - low);
    const at = Math.max(0, Math.min(1, (now - low) / (high - low)));
    const [from, to] = [Math.min(zero, at), Math.max(zero, at)];
    const span = to - from;
    input.style.setProperty("--span", `${span * 100}%`);
    input.style.setProperty("--from", `${span < 1 ? (from / (1 - span)) * 100 : 0}%`);
    const told = now.toFixed(digits).replace(/^-(0(\.0+)?)$/, "$1") + unit;
    if (document.activeElement !== number) number.value = told;
    input.setAttribute("aria-valuetext", told);
  };
  const take = (now: number) => {
    row.classList.add("held");
    show(now);
    change(now);
  };
  const release = () => {
    row.classList.remove("held");
    show(value);
  };
  const letGo = () => {
    release();
    reset();
  };
  input.addEventListener("input", () => take(input.valueAsNumber));
  row.addEventListener("dblclick", (event) => {
    if (event.target !== number) letGo();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Delete" || event.key === "Backspace") letGo();
    else if (event.key === "Enter") number.focus();
    else return;
    event.preventDefault();
  });
  number.addEventListener("focus", () => number.select());
  number.addEventListener("change", () => {
    const typed = Number.parseFloat(number.value.replace(",", "."));
    // What is typed may lie beyond the slider's ends, within reason.
    const reach = high - low;
    if (Number.isFinite(typed)) take(Math.max(low - reach, Math.min(high + reach, typed)));
  });
  number.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    if (event.key === "Escape") number.value = input.value;
    input.focus();
  });
  number.addEventListener("blur", () =>
    show(row.classList.contains("held") ? lastOf(number, input) : input.valueAsNumber),
  );
  show(value);
  return {
    row,
    release,
    follow(now) {
      if (!row.classList.contains("held") && Math.abs(now - input.valueAsNumber) > (high - low) / 500) show(now);
    },
  };
}

function lastOf(number: HTMLInputElement, input: HTMLInputElement): number {
  const typed = Number.parseFloat(number.value.replace(",", "."));
  return Number.isFinite(typed) ? typed : input.valueAsNumber;
}
