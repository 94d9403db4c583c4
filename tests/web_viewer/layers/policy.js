// An avatar with networks and KTX2 textures under a content security policy: tells how it went.
import { loadAvatar, Player } from "./lib/index.js";

const told = { violations: [], workers: 0 };
const { Worker } = window;
window.Worker = class extends Worker {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", () => {
      told.workers = 1;
    });
  }
};
document.addEventListener("securitypolicyviolation", (event) => told.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
try {
  const player = new Player(Object.assign(document.createElement("canvas"), { width: 64, height: 48 }), {
    onError: (error) => {
      told.error = error.message;
    },
  });
  player.setAvatar(await loadAvatar("files/full.glb"));
  const pixels = await player.readPixels();
  told.colors = new Set(new Uint32Array(pixels.buffer)).size;
} catch (error) {
  told.error ??= error.message;
}
await fetch(`out/${location.search.slice(1)}.json`, { method: "PUT", body: JSON.stringify(told) });
