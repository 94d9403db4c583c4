/** Dialogs that are seldom opened: keys, and code for other pages. */
import { element } from "../elements.ts";
import { button } from "./controls.ts";
import { CANVAS_KEYS, type Key } from "./keys.ts";

const CLOSE = "M6 6l12 12M18 6L6 18";

/** Show a dialog until it is closed. */
function open(title: string, ...children: Node[]): HTMLDialogElement {
  const dialog = element("dialog", { "aria-labelledby": "dialog-title" });
  const close = button("Close", () => dialog.close(), { path: CLOSE, kind: "icon plain" });
  dialog.append(element("header", {}, element("h2", { id: "dialog-title", textContent: title }), close), ...children);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Show the keyboard map, and what fingers do. */
export function showHelp(keys: Key[]): void {
  const names: Record<string, string> = { " ": "space" };
  const rows = [
    ...CANVAS_KEYS.map(([key, what]) => [key, `${what} (with the picture focused)`]),
    ...keys.map(({ key, what }) => [names[key] ?? key, what]),
  ];
  const list = element("dl", { className: "keys" });
  for (const [key, what] of rows) {
    list.append(element("dt", {}, element("kbd", { textContent: key })), element("dd", { textContent: what }));
  }
  const hands = element("dl", { className: "keys" });
  for (const [how, what] of [
    ["Drag", "turn; one finger does the same"],
    ["Shift-drag", "move; two fingers do the same"],
    ["Wheel", "nearer, further; pinch does the same"],
    ["Double-click", "back to the first view; on a slider: let go of it"],
    ["Slider", "Enter to type a number, Delete to let go"],
    ["On a map", "draw; arrow keys and space do the same; Alt-click takes a colour, Ctrl+Z undoes"],
    ["Drop a picture", "on a map: takes its place; elsewhere: compare with it"],
  ]) {
    hands.append(element("dt", { textContent: how }), element("dd", { textContent: what }));
  }
  const columns = element("div", { className: "columns" }, list, hands);
  open("Keys and gestures", columns);
}

/** Addresses of what the snippets name; null where the page does not know it. */
export interface EmbedAddresses {
  page: string;
  avatar: string;
  sequence: string | null;
  poster: string | null;
  element: string;
  module: string;
}

/** Return ready-made code for other pages. */
export function snippets({
  page,
  avatar,
  sequence,
  poster,
  element: tag,
  module,
}: EmbedAddresses): [string, string, string][] {
  const quoted = (text: string) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
  const clip = sequence ? `\n  sequence="${quoted(sequence)}"` : "";
  const still = poster ? `\n  poster="${quoted(poster)}"` : "";
  return [
    [
      "As an element",
      "Sized by CSS, any background; its attributes are in the package's README.",
      `<script type="module" src="${quoted(tag)}"></script>\n<flame-avatar\n  src="${quoted(avatar)}"${clip}${still}\n  controls autoplay loop\n  style="display: block; width: 400px; height: 480px"\n></flame-avatar>`,
    ],
    [
      "From a script",
      "The player, for everything a program may want to do.",
      `import { loadAvatar, loadSequence, Player } from ${JSON.stringify(module)};\n\nconst player = new Player(document.querySelector("canvas"), { background: null, resize: true });\nplayer.setAvatar(await loadAvatar(${JSON.stringify(avatar)}));\n${sequence ? `player.setSequence(await loadSequence(${JSON.stringify(sequence)}, player.avatar.head));\n` : ""}player.play();`,
    ],
    [
      "As a frame",
      "This page without its controls; nothing else is needed.",
      `<iframe\n  src="${quoted(page)}"\n  title="Avatar"\n  width="400" height="480" style="border: 0"\n></iframe>`,
    ],
  ];
}

/** Show code to copy. */
export function showEmbed(addresses: EmbedAddresses, note: string): void {
  const parts = snippets(addresses).map(([title, what, code]) => {
    const copy = button("Copy", async () => {
      await navigator.clipboard?.writeText(code).catch(() => {});
      getSelection()?.selectAllChildren(text);
      copy.textContent = "Copied";
      setTimeout(() => {
        copy.textContent = "Copy";
      }, 2000);
    });
    copy.setAttribute("aria-label", `Copy: ${title.toLowerCase()}`);
    const text = element("code", { textContent: code });
    return element(
      "section",
      { className: "snippet" },
      element("div", { className: "split" }, element("h3", { textContent: title }), copy),
      element("p", { className: "quiet", textContent: what }),
      element("pre", { tabIndex: 0 }, text),
    );
  });
  open("Put it on another page", ...parts, element("p", { className: "quiet", textContent: note }));
}
