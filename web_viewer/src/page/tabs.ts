/** Tabs over a panel: arrow keys move between them, one is in the order of focus. */
import { element, icon } from "../elements.ts";

export interface Tab {
  name: string;
  path: string;
  body: HTMLElement;
  /** Called when it comes to be seen. */
  shown?: () => void;
}

export class Tabs {
  readonly root = element("div", { className: "tabs" });
  private readonly list = element("div", { className: "tablist", role: "tablist", "aria-label": "Controls" });
  private chosen = 0;

  constructor(private readonly tabs: Tab[]) {
    this.root.append(this.list);
    tabs.forEach(({ name, path, body }, i) => {
      const made = element(
        "button",
        { type: "button", role: "tab", id: `tab-${name}` },
        icon(path),
        element("span", {}, name),
      );
      made.setAttribute("aria-controls", `tabpanel-${name}`);
      made.addEventListener("click", () => this.choose(i));
      made.addEventListener("keydown", (event) => this.key(event, i));
      this.list.append(made);
      body.id = `tabpanel-${name}`;
      body.classList.add("tabpanel");
      body.setAttribute("role", "tabpanel");
      body.setAttribute("aria-labelledby", `tab-${name}`);
      this.root.append(body);
    });
    this.mark(0);
  }

  get name(): string {
    return this.tabs[this.chosen].name;
  }

  /** Show a tab by its place or its name. */
  choose(which: number | string): void {
    const at = typeof which === "number" ? which : this.tabs.findIndex(({ name }) => name === which);
    if (at < 0) return;
    this.mark(at);
    this.tabs[at].shown?.();
  }

  private mark(at: number): void {
    this.chosen = at;
    this.tabs.forEach(({ body }, i) => {
      const made = this.list.children[i] as HTMLElement;
      made.setAttribute("aria-selected", String(i === at));
      made.tabIndex = i === at ? 0 : -1;
      body.hidden = i !== at;
    });
  }

  private key(event: KeyboardEvent, i: number): void {
    const count = this.tabs.length;
    const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: count - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.choose((to + count) % count);
    (this.list.children[(to + count) % count] as HTMLElement).focus();
  }
}
