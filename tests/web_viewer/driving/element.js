// What happens to the elements, in order, for the tests to read.
import "./lib/element.js";

window.happened = {};
for (const avatar of document.querySelectorAll("flame-avatar")) {
  const list = [];
  window.happened[avatar.id] = list;
  for (const name of ["load", "error", "progress", "play", "pause", "ended", "frame"]) {
    avatar.addEventListener(name, ({ detail }) => {
      if (list.at(-1)?.name !== name) list.push({ name, message: detail?.message ?? null, loaded: detail?.loaded ?? null });
      else list.at(-1).loaded = detail?.loaded ?? null;
    });
  }
}

/** The middle of an element's picture differs from its corner: somebody is there. */
window.drawn = async (avatar) => {
  const pixels = await avatar.player.readPixels();
  const { width, height } = avatar.player.canvas;
  const at = 4 * (width * (height >> 1) + (width >> 1));
  return pixels[at + 3] > 200 && pixels[3] === 0;
};

// Under a content security policy nobody can ask this page: it tells by itself.
if (location.search === "?alone") {
  const wait = (avatar, name) => new Promise((resolve) => avatar.addEventListener(name, resolve, { once: true }));
  const a = document.getElementById("a");
  const violations = [];
  document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
  await Promise.all([wait(a, "load"), wait(document.getElementById("c"), "error")]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const button = a.shadowRoot.querySelector("button").getBoundingClientRect();
  const told = { drawn: await window.drawn(a), violations, button: button.width, sheets: document.styleSheets.length };
  await fetch("out/alone.json", { method: "PUT", body: JSON.stringify(told) });
}
