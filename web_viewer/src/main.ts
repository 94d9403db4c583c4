/** The page: what programs and tests find on it, and its beginning. */
import { loadAvatar, loadJson } from "./avatar/load.ts";
import { chooseDevice } from "./devices.ts";
import { byId } from "./elements.ts";
import { say, wordsOf } from "./page/message.ts";
import { Page } from "./page/page.ts";
import { Player } from "./player.ts";

// The programmatic interface, for pages that embed the player and for tests.
const api: { loadAvatar: typeof loadAvatar; loadJson: typeof loadJson; Player: typeof Player; player?: Player } = {
  loadAvatar,
  loadJson,
  Player,
};
Object.assign(window, { flameport: api });

/** Draw with what the address wishes; WebGL2 where it wishes nothing, which was tried on more machines. */
async function begin(): Promise<void> {
  const canvas = byId<HTMLCanvasElement>("view");
  const wish = new URLSearchParams(location.search).get("device");
  const device = await chooseDevice(canvas, wish === "auto" || wish === "webgpu" ? wish : "webgl2");
  const page = new Page(canvas, device);
  api.player = page.player;
  page.start();
}

begin().catch((error) => {
  say(wordsOf(error));
  byId("drop").hidden = false;
});
