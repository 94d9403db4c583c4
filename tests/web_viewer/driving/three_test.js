// Avatars in three.js scenes against our own player, for the tests to ask.
import * as THREE from "three";
import { FlameAvatar, loadAvatar, lookAt, Player, readSequence } from "./lib/three.js";

const [WIDTH, HEIGHT] = [320, 256];
const json = async (name) => (await fetch(`files/${name}`)).json();

/** A renderer on the page, and a camera that stands where ours does. */
function stage(pinhole, near, antialias = false) {
  const renderer = new THREE.WebGLRenderer({ antialias, preserveDrawingBuffer: true });
  renderer.setSize(WIDTH, HEIGHT);
  document.body.append(renderer.domElement);
  const fov = (360 / Math.PI) * Math.atan(HEIGHT / 2 / pinhole.fy);
  const camera = new THREE.PerspectiveCamera(fov, WIDTH / HEIGHT, near, 20);
  const { rotation: r, translation: t } = pinhole;
  const view = new THREE.Matrix4().set(
    ...[r[0], r[1], r[2], t[0]],
    ...[-r[3], -r[4], -r[5], -t[1]],
    ...[-r[6], -r[7], -r[8], -t[2]],
    ...[0, 0, 0, 1],
  );
  view.invert().decompose(camera.position, camera.quaternion, camera.scale);
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(0xffffff);
  return { renderer, camera, scene };
}

function pixelsOf(renderer) {
  const gl = renderer.getContext();
  const out = new Uint8Array(4 * WIDTH * HEIGHT);
  gl.readPixels(0, 0, WIDTH, HEIGHT, gl.RGBA, gl.UNSIGNED_BYTE, out);
  return out;
}

/** Differences of two pictures, the first with its rows from the bottom. */
function compare(flipped, other) {
  let [most, sum] = [0, 0];
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < 4 * WIDTH; x++) {
      const d = Math.abs(flipped[4 * WIDTH * (HEIGHT - 1 - y) + x] - other[4 * WIDTH * y + x]);
      most = Math.max(most, d);
      if (x % 4 < 3) sum += (d / 255) ** 2;
    }
  }
  return { most, db: -10 * Math.log10(sum / (3 * WIDTH * HEIGHT)) };
}

const at = (pixels, x, y) => [...pixels.slice(4 * (WIDTH * y + x), 4 * (WIDTH * y + x) + 3)];

async function test() {
  const told = {};
  const avatar = await loadAvatar("files/avatar.glb");
  const clip = readSequence(await json("clip.json"), avatar.head);
  const pinhole = lookAt([0.12, 0.05, 0.75], [0, 0, 0], 0.45, WIDTH, HEIGHT);
  const near = 0.1;

  const player = new Player(Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT }), { near });
  player.setAvatar(avatar);
  player.setSequence(clip);
  player.setCamera(pinhole);
  player.seek({ frame: 20.5 });
  const wanted = await player.readPixels();

  const { renderer, camera, scene } = stage(pinhole, near);
  const errors = [];
  const guest = new FlameAvatar(renderer, avatar, { onError: (error) => errors.push(error.message) });
  guest.actor.setSequence(clip);
  guest.actor.seek({ frame: 20.5 });
  scene.add(guest);
  renderer.render(scene, camera);
  told.alone = { ...compare(pixelsOf(renderer), wanted), shown: guest.shown };
  player.dispose();

  // The same place, seen from a world that is turned, moved and half as large: the same picture.
  const world = new THREE.Group();
  world.position.set(1, -2, 3);
  world.rotation.set(0.4, 1.1, -0.7);
  world.scale.setScalar(0.5);
  world.add(guest, camera);
  scene.add(world);
  camera.near = near / 2;
  camera.updateProjectionMatrix();
  renderer.render(scene, camera);
  told.moved = compare(pixelsOf(renderer), wanted);
  scene.add(guest, camera);
  camera.near = near;
  camera.updateProjectionMatrix();

  // A cube before the face, one behind the head, a glass pane that is drawn after it, and lights.
  const cube = (color, place, more = {}) => {
    const made = new THREE.Mesh(new THREE.BoxGeometry(0.06, 0.06, 0.06), new THREE.MeshBasicMaterial({ color, ...more }));
    made.position.set(...place);
    scene.add(made);
    return made;
  };
  const front = cube(0xff0000, [0.03, 0, 0.25]);
  const behind = cube(0x0000ff, [-0.1, 0.02, -0.25]);
  behind.scale.setScalar(3);
  cube(0x00ff00, [0.16, -0.09, 0.2], { transparent: true, opacity: 0.5 });
  const second = new FlameAvatar(renderer, avatar);
  second.position.set(0.28, 0, -0.2);
  second.scale.setScalar(0.6);
  scene.add(second);
  renderer.render(scene, camera);
  const crowd = pixelsOf(renderer);
  told.second = second.shown;
  const seen = (object) => {
    const p = object.getWorldPosition(new THREE.Vector3()).project(camera);
    return at(crowd, Math.round((p.x * 0.5 + 0.5) * WIDTH), Math.round((p.y * 0.5 + 0.5) * HEIGHT));
  };
  told.front = seen(front);
  told.counts = { blue: 0, red: 0 };
  for (let i = 0; i < crowd.length; i += 4) {
    const [r, g, b] = crowd.subarray(i, i + 3);
    if (r < 10 && g < 10 && b > 245) told.counts.blue++;
    if (r > 245 && g < 10 && b < 10) told.counts.red++;
  }
  // Without the avatars more of the cube behind them is seen, and no more of the one in front.
  for (const each of [guest, second]) each.visible = false;
  renderer.render(scene, camera);
  const empty = pixelsOf(renderer);
  told.bare = { blue: 0, red: 0 };
  for (let i = 0; i < empty.length; i += 4) {
    const [r, g, b] = empty.subarray(i, i + 3);
    if (r < 10 && g < 10 && b > 245) told.bare.blue++;
    if (r > 245 && g < 10 && b < 10) told.bare.red++;
  }
  for (const each of [guest, second]) each.visible = true;

  // Into a target of its own size, and back on the canvas, everything as before.
  const target = new THREE.WebGLRenderTarget(WIDTH, HEIGHT);
  scene.background = null;
  renderer.setRenderTarget(target);
  renderer.setClearColor(0xffffff, 1);
  renderer.clear();
  scene.remove(front, behind);
  const lone = new THREE.Scene();
  lone.add(guest);
  renderer.render(lone, camera);
  const read = new Uint8Array(4 * WIDTH * HEIGHT);
  renderer.readRenderTargetPixels(target, 0, 0, WIDTH, HEIGHT, read);
  told.target = compare(read, wanted);
  renderer.setRenderTarget(null);
  scene.add(front, behind, guest);
  scene.background = new THREE.Color(0xffffff);
  renderer.render(scene, camera);
  told.again = pixelsOf(renderer).reduce((most, value, i) => Math.max(most, Math.abs(value - crowd[i])), 0);

  // Part of the canvas only.
  renderer.setScissorTest(true);
  renderer.setViewport(0, 0, WIDTH / 2, HEIGHT / 2);
  renderer.setScissor(0, 0, WIDTH / 2, HEIGHT / 2);
  renderer.render(scene, camera);
  const part = pixelsOf(renderer);
  const edges = (pixels) => [...at(pixels, WIDTH - 20, HEIGHT - 20), ...at(pixels, 20, HEIGHT - 20)];
  told.outside = edges(part).reduce((most, value, i) => Math.max(most, Math.abs(value - edges(crowd)[i])), 0);
  renderer.setScissorTest(false);
  renderer.setViewport(0, 0, WIDTH, HEIGHT);
  renderer.render(scene, camera);

  told.glError = renderer.getContext().getError();
  told.errors = [...errors];
  const odd = new FlameAvatar(renderer, avatar, { onError: (error) => errors.push(error.message) });
  odd.scale.set(1, 2, 1);
  const oddScene = new THREE.Scene();
  oddScene.add(odd);
  renderer.autoClear = false;
  renderer.render(oddScene, camera);
  told.odd = errors.at(-1);
  const flat = new FlameAvatar(renderer, avatar, { onError: (error) => errors.push(error.message) });
  renderer.render(new THREE.Scene().add(flat), new THREE.OrthographicCamera());
  told.flat = errors.at(-1);
  for (const each of [second, odd, flat]) {
    each.removeFromParent();
    each.dispose();
  }
  renderer.autoClear = true;
  scene.add(second);
  renderer.render(scene, camera);
  scene.remove(second);
  window.told = told;
}

test().catch((error) => {
  window.told = { failed: `${error.stack}` };
});
