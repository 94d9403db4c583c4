// An avatar with networks and KTX2 textures under a content security policy: tells how it went.
import { loadAvatar, Player } from "./lib/index.js";

const told = { violations: [] };
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
await fetch("out/policy.json", { method: "PUT", body: JSON.stringify(told) });
