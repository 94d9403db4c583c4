// A page of the player's inner parts, bundled by test_core.py: what no page shows, tests can reach.
import { loadAvatar } from "../../web_viewer/src/avatar/load.ts";
import { Player } from "../../web_viewer/src/player.ts";
import { GuestRenderer } from "../../web_viewer/src/gl/guest.ts";
import { Renderer } from "../../web_viewer/src/gl/renderer.ts";
import { cameraOf, fitCamera, positionOf } from "../../web_viewer/src/camera/camera.ts";
import { Pose } from "../../web_viewer/src/posing/pose.ts";
import { readSequence } from "../../web_viewer/src/driving/sequence_json.ts";

const json = async (name) => (await fetch(`files/${name}`)).json();

/** Where a camera file looks from, and a pose of a clip. */
async function scene(name, t) {
  const avatar = await loadAvatar(`files/${name}.glb`);
  const from = cameraOf((await json(`${name}.json`)).camera);
  const camera = fitCamera(from, from.width, from.height);
  const { rotation, translation, fx, fy, cx, cy } = camera;
  const view = {
    rotation, translation, eye: positionOf(camera), intrinsics: [fx, fy, cx, cy],
    width: from.width, height: from.height, near: 0.05,
  };
  const sequence = readSequence(await json(`${name}.clip.json`), avatar.head);
  const pose = new Pose(avatar.head);
  sequence.sample(t, pose, sequence.columns(avatar.head));
  return { avatar, view, pose };
}

window.flameport = { loadAvatar, GuestRenderer, Player, Renderer, scene, json };

/** Count WebGL objects that are alive on this page. */
const alive = {};
const { prototype } = WebGL2RenderingContext;
for (const kind of ["Texture", "Buffer", "Framebuffer", "Renderbuffer", "Program", "Shader", "VertexArray", "Sampler"]) {
  alive[kind] = new Set();
  const [create, remove] = [prototype[`create${kind}`], prototype[`delete${kind}`]];
  prototype[`create${kind}`] = function (...args) {
    const made = create.apply(this, args);
    if (made) alive[kind].add(made);
    return made;
  };
  prototype[`delete${kind}`] = function (object) {
    alive[kind].delete(object);
    return remove.call(this, object);
  };
}
const count = () => Object.values(alive).reduce((sum, set) => sum + set.size, 0);
const frames = (n) =>
  new Promise((done) => {
    const next = () => (n-- > 0 ? requestAnimationFrame(next) : done());
    next();
  });
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
/** Heap in bytes after a collection, buffers included; the browser has to be started for that. */
const heap = async () => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await sleep(20);
  }
  return performance.memory.usedJSHeapSize;
};

Object.assign(window.flameport, { count, frames, sleep, heap });
