// Mesh layers in a three.js scene against our own player, for the tests to ask.
import * as THREE from "three";
import { FlameAvatar, loadAvatar, lookAt, Player } from "./lib/three.js";

const [WIDTH, HEIGHT] = [256, 192];
const [NEAR, FRAME] = [0.1, 1.5];

/** The largest difference of two pictures, the first with its rows from the bottom, and how many numbers differ by more than 2. */
function compare(flipped, other) {
  let [most, many] = [0, 0];
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < 4 * WIDTH; x++) {
      const d = Math.abs(flipped[4 * WIDTH * (HEIGHT - 1 - y) + x] - other[4 * WIDTH * y + x]);
      most = Math.max(most, d);
      if (d > 2) many++;
    }
  }
  return { most, many };
}

async function test() {
  const avatar = await loadAvatar("files/shells.plain.glb");
  const pinhole = lookAt([0.12, 0.05, 0.6], [0, 0, 0], 0.45, WIDTH, HEIGHT);
  const player = new Player(Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT }), { near: NEAR });
  player.setAvatar(avatar);
  player.setCamera(pinhole);
  player.seek({ frame: FRAME });
  const wanted = await player.readPixels();
  player.dispose();

  const renderer = new THREE.WebGLRenderer({ preserveDrawingBuffer: true });
  renderer.setSize(WIDTH, HEIGHT);
  document.body.append(renderer.domElement);
  const camera = new THREE.PerspectiveCamera((360 / Math.PI) * Math.atan(HEIGHT / 2 / pinhole.fy), WIDTH / HEIGHT, NEAR, 20);
  const { rotation: r, translation: t } = pinhole;
  const rows = [[r[0], r[1], r[2], t[0]], [-r[3], -r[4], -r[5], -t[1]], [-r[6], -r[7], -r[8], -t[2]], [0, 0, 0, 1]];
  new THREE.Matrix4().set(...rows.flat()).invert().decompose(camera.position, camera.quaternion, camera.scale);
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(0xffffff);
  const draw = () => {
    renderer.render(scene, camera);
    const out = new Uint8Array(4 * WIDTH * HEIGHT);
    const gl = renderer.getContext();
    gl.readPixels(0, 0, WIDTH, HEIGHT, gl.RGBA, gl.UNSIGNED_BYTE, out);
    return out;
  };
  const blue = (pixels) => {
    let count = 0;
    for (let i = 0; i < pixels.length; i += 4) if (pixels[i] < 10 && pixels[i + 1] < 10 && pixels[i + 2] > 245) count++;
    return count;
  };

  const errors = [];
  const guest = new FlameAvatar(renderer, avatar, { onError: (error) => errors.push(error.message) });
  guest.actor.seek({ frame: FRAME });
  // While it loads, three finds everything bound as it left it.
  const gl = renderer.getContext();
  scene.add(new THREE.Mesh(new THREE.BoxGeometry(), new THREE.MeshBasicMaterial()));
  draw();
  const bound = () => ["VERTEX_ARRAY_BINDING", "ARRAY_BUFFER_BINDING", "TEXTURE_BINDING_2D_ARRAY"].map((name) => gl.getParameter(gl[name]));
  const before = bound();
  let disturbed = 0;
  let busy = true;
  const ready = guest.ready().then(() => {
    busy = false;
  });
  for (let i = 0; i < 20000 && busy; i++) {
    if (bound().some((one, n) => one !== before[n])) disturbed++;
    await new Promise((resolve) => setTimeout(resolve));
  }
  await ready;
  scene.clear();
  scene.add(guest);
  const told = { disturbed, vertexArray: before[0] !== null, alone: compare(draw(), wanted) };

  // A cube before the head and a wall behind it.
  const box = (size, z) => {
    const made = new THREE.Mesh(new THREE.BoxGeometry(size, size, 0.02), new THREE.MeshBasicMaterial({ color: 0x0000ff }));
    made.position.set(0, 0, z);
    scene.add(made);
    return made;
  };
  const front = box(0.05, 0.2);
  guest.visible = false;
  const bare = blue(draw());
  guest.visible = true;
  told.front = blue(draw()) / bare;
  scene.remove(front);
  box(0.4, -0.3);
  guest.visible = false;
  const wall = blue(draw());
  guest.visible = true;
  const seen = draw();
  told.behind = blue(seen) / wall;
  const once = draw();
  told.again = seen.reduce((most, value, i) => Math.max(most, Math.abs(value - once[i])), 0);
  told.glError = renderer.getContext().getError();
  told.errors = errors;
  return told;
}

window.told = await test().catch((error) => ({ failed: `${error.message}\n${error.stack}` }));
