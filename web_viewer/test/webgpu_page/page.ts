/** What tests/web_viewer/test_webgpu.py and scripts/benchmark_webgpu.py run in a browser: WebGPU without a canvas. */
import type { Avatar } from "../../src/avatar/avatar.ts";
import { loadAvatar } from "../../src/avatar/load.ts";
import { cameraOf, fitCamera, lookAt, positionOf } from "../../src/camera/camera.ts";
import type { AvatarRenderer, Device, View } from "../../src/device.ts";
import { chooseDevice } from "../../src/devices.ts";
import { readSequence } from "../../src/driving/sequence_json.ts";
import { ViewerError } from "../../src/errors.ts";
import { WebGLDevice } from "../../src/gl/webgl_device.ts";
import { createWebGPUDevice, RelayDevice, type WebGPUDevice } from "../../src/gpu/index.ts";
import { Memory, mapped, readBack } from "../../src/gpu/memory.ts";
import { Sorter } from "../../src/gpu/order.ts";
import { Player } from "../../src/player.ts";
import { Pose } from "../../src/posing/pose.ts";

// biome-ignore lint/suspicious/noExplicitAny: jobs come as JSON
type Job = any;

const json = async (name: string) => (await fetch(`files/${name}`)).json();
const put = (name: string, body: BodyInit) => fetch(`out/${name}`, { method: "PUT", body });
const load = (name: string) => loadAvatar(`files/${name}`);
const canvasOf = (width: number, height: number) => Object.assign(document.createElement("canvas"), { width, height });

/** Tell what the browser draws with, or null. */
async function adapter() {
  const found = await navigator.gpu?.requestAdapter();
  return found && { name: `${found.info.vendor} ${found.info.architecture}`, fallback: found.info.isFallbackAdapter };
}

/** Send back what a player shows with WebGPU, avatar by avatar, moment by moment. */
async function play(job: Job) {
  const device = await createWebGPUDevice(null);
  const canvas = canvasOf(8, 8);
  const player = new Player(canvas, { near: job.near, exact: job.exact, device });
  const told: Record<string, unknown> = {};
  for (const show of job.shows) {
    const camera = await json(show.camera);
    Object.assign(canvas, { width: camera.width, height: camera.height });
    player.setAvatar(await load(show.avatar));
    player.setSequence(await json(show.clip));
    player.setCamera(camera);
    for (const [i, t] of show.moments.entries()) {
      player.seek({ frame: t });
      if (job.world) {
        const { means, covariances, opacities, rgb } = await player.readWorld();
        await put(`${show.name}.${i}.f32`, new Blob([means, covariances, opacities, rgb] as BlobPart[]));
      }
      if (job.pictures) {
        await put(`${show.name}.${i}.half.f32`, (await player.readPixels({ half: true })) as BodyInit);
        await put(`${show.name}.${i}.canvas.u8`, (await player.readPixels()) as BodyInit);
      }
    }
    const { shown } = await counted(player, device);
    told[show.name] = { shown, count: player.avatar!.count, bytes: device.bytes, buffers: device.buffers };
  }
  player.dispose();
  return { told, left: device.buffers + device.bytes };
}

/** Ask for the count, draw, wait for it, and ask again. */
async function counted(player: Player, device: WebGPUDevice) {
  void player.stats;
  player.render();
  await device.card.queue.onSubmittedWorkDone();
  await new Promise((resolve) => setTimeout(resolve, 50));
  return player.stats;
}

/** Sort numbers by random keys, of `distinct` different values, and count places where a stable sort differs. */
async function sort(job: Job) {
  const device = await createWebGPUDevice(null);
  const memory = new Memory(device.card);
  const wrong: number[] = [];
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
  for (const { count, distinct } of job.cases) {
    const sorter = new Sorter(memory, count);
    const values = Uint32Array.from({ length: distinct }, random);
    const keys = Uint32Array.from({ length: count }, () => values[random() % distinct]);
    keys.set([0xffffffff, 0].slice(0, count));
    // Number n has key keys[N - 1 - n]; of equal keys the larger number comes first.
    const wanted = Uint32Array.from(keys, (_, n) => n).sort(
      (a, b) => keys[count - 1 - a] - keys[count - 1 - b] || b - a,
    );
    for (let run = 0; run < 2; run++) {
      device.card.queue.writeBuffer(sorter.keys, 0, keys);
      const encoder = device.card.createCommandEncoder();
      const pass = encoder.beginComputePass();
      sorter.run(pass);
      pass.end();
      device.card.queue.submit([encoder.finish()]);
      const got = new Uint32Array(await readBack(memory, sorter.order, 4 * count));
      wrong.push(wanted.reduce((sum, n, i) => sum + Number(n !== got[i]), 0));
    }
  }
  device.check();
  memory.dispose();
  device.dispose();
  return wrong;
}

/** Lose the card in the middle of playing, and tell what the player did and what the picture is afterwards. */
async function lose(job: Job) {
  const camera = await json(job.camera);
  const device = await createWebGPUDevice(null);
  const said: string[] = [];
  const restored = new Promise<void>((resolve) => {
    const player = new Player(canvasOf(camera.width, camera.height), {
      device,
      onError: (error) => said.push(error.message),
      onRestored: resolve,
    });
    lost = player;
  });
  const player = lost!;
  player.setAvatar(await load(job.avatar));
  player.setSequence(await json(job.clip));
  player.setCamera(camera);
  player.seek({ frame: job.moment });
  const before = await player.readPixels();
  const card = device.card;
  card.destroy();
  await card.lost;
  await new Promise((resolve) => setTimeout(resolve, 0));
  let refused = "";
  try {
    player.render();
  } catch (error) {
    refused = (error as Error).message;
  }
  await restored;
  const after = await player.readPixels();
  const same = before.every((value, i) => value === after[i]);
  const another = device.card !== card;
  player.dispose();
  await new Promise((resolve) => setTimeout(resolve, 100));
  return { said, refused, another, same, drawn: before.some((value) => value !== 255), buffers: device.buffers };
}
let lost: Player | null = null;

/** Load and dispose again and again; several avatars share one card. */
async function again(job: Job) {
  const device = await createWebGPUDevice(null);
  const avatar = await load(job.avatar);
  const alive: number[] = [];
  for (let i = 0; i < 3; i++) {
    const renderers = [device.load(avatar, true), device.load(avatar, false)];
    alive.push(device.buffers, device.bytes);
    for (const renderer of renderers) renderer.dispose();
    alive.push(device.buffers, device.bytes);
  }
  device.check();
  device.dispose();
  return alive;
}

/** Paint a layer anew, and compare it with the same layer loaded anew; tell the largest difference, and what changed. */
async function repaint(job: Job) {
  const device = await createWebGPUDevice(null);
  const avatar = await load(job.avatar);
  const view = viewOf(avatar, 64, null);
  const renderer = device.load(avatar, true);
  const pose = new Pose(avatar.head);
  renderer.pose(pose);
  const before = await renderer.readWorld(view);
  const [layer] = avatar.layers;
  layer.opacities.fill(0.25);
  layer.sh.forEach((value, i) => {
    layer.sh[i] = 0.5 * value + 0.1;
  });
  renderer.repaint!(0);
  const painted = await renderer.readWorld(view);
  const other = device.load(avatar, true);
  other.pose(pose);
  const fresh = await other.readWorld(view);
  const apart = (a: Float32Array, b: Float32Array) => a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
  device.check();
  device.dispose();
  return {
    wrong: Math.max(apart(painted.rgb, fresh.rgb), apart(painted.opacities, fresh.opacities)),
    changed: apart(painted.rgb, before.rgb),
    moved: apart(painted.means, before.means),
    opacity: painted.opacities[0],
  };
}

/** Tell which device is chosen here for each wish, and what is said about avatars it cannot draw. */
async function choose(job: Job) {
  const avatar = await load(job.avatar);
  const kinds: Record<string, string> = {};
  for (const wanted of ["auto", "webgl2", "webgpu"] as const) {
    const device = await chooseDevice(canvasOf(8, 8), wanted);
    if (wanted !== "webgpu") device.load(avatar, false).dispose();
    kinds[wanted] = device.kind;
    device.dispose();
  }
  const foreign = { ...avatar, meshes: [{}] } as unknown as Avatar;
  const device = await createWebGPUDevice(null);
  let refused = "";
  try {
    device.load(foreign, false);
  } catch (error) {
    refused = error instanceof ViewerError ? error.message : `not typed: ${error}`;
  }
  device.dispose();
  // As if a real card were here: WebGPU for what it draws, WebGL2 for the rest, on canvases that are still free.
  Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false, configurable: true });
  const real: string[] = [];
  for (const shown of [avatar, foreign, avatar]) {
    // The last time, a card whose buffers are too small for any avatar.
    if (real.length === 2) Object.defineProperty(GPUSupportedLimits.prototype, "maxBufferSize", { get: () => 64 });
    const chosen = await chooseDevice(canvasOf(8, 8), "auto");
    try {
      chosen.load(shown, false).dispose();
    } catch {
      // Mesh layers without anything in them draw nowhere; which device was asked is what matters.
    }
    real.push(chosen.kind);
    chosen.dispose();
  }
  return { kinds, refused, real };
}

/**
 * Show an avatar that only WebGL2 draws where WebGPU has the canvas already, and count bytes that are other than those of WebGL2
 * alone: as the device draws it, and as they arrive on the card.
 */
async function relay(job: Job) {
  const [first, second] = [await load(job.avatar), await load(job.other)];
  const [width, height] = [64, 48];
  const white = { rgb: [1, 1, 1] as [number, number, number], alpha: 1 };
  const view = { ...viewOf(second, width, null), height };
  const pose = new Pose(second.head);
  const drawn = async (device: Device) => {
    const renderer = device.load(second, false);
    await renderer.prepare!(pose);
    renderer.pose(pose);
    return renderer;
  };
  const alone = new WebGLDevice(canvasOf(width, height));
  const wanted = Array.from(await (await drawn(alone)).readPixels(view, white, false));
  const differ = (bytes: ArrayLike<number>) => wanted.reduce((sum, byte, i) => sum + Number(byte !== bytes[i]), 0);

  Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false, configurable: true });
  const chosen = await chooseDevice(canvasOf(width, height), "auto");
  const kinds: string[] = [];
  chosen.load(first, false).dispose();
  kinds.push(chosen.kind);
  const renderer = await drawn(chosen);
  kinds.push(chosen.kind);
  const beside = differ(await renderer.readPixels(view, white, false));
  renderer.dispose();
  chosen.load(first, false).dispose();
  kinds.push(chosen.kind);
  chosen.dispose();

  // A software adapter presents to no canvas: the same way, onto a texture that can be read.
  const device = await createWebGPUDevice(null);
  const beyond = new RelayDevice((picture) => device.show(picture));
  (await drawn(beyond)).render(view, white);
  const memory = new Memory(device.card);
  const copy = memory.buffer("picture", 256 * height, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  const encoder = device.card.createCommandEncoder();
  const { texture } = device.surface(width, height);
  encoder.copyTextureToBuffer({ texture }, { buffer: copy, bytesPerRow: 256 }, [width, height]);
  device.card.queue.submit([encoder.finish()]);
  const copied = differ(new Uint8Array(await mapped(memory, copy, 256 * height)));
  device.check();
  memory.dispose();
  for (const one of [beyond, device, alone]) one.dispose();
  return { kinds, beside, copied, colors: new Set(wanted).size };
}

/** Time frames of a moving head, offscreen with WebGPU and on a canvas's back buffer with WebGL2. */
async function measure(job: Job) {
  const { kind, frames, rounds, size } = job;
  const avatar = await load(job.avatar);
  const sequence = job.clip ? readSequence(await json(job.clip), avatar.head) : avatar.clip!;
  const columns = sequence.columns(avatar.head);
  const pose = new Pose(avatar.head);
  const view = viewOf(avatar, size, job.camera ? await json(job.camera) : null);
  const canvas = canvasOf(size, size);
  const gpu = kind === "webgpu" ? await createWebGPUDevice(null) : null;
  const device: Device = gpu ?? new WebGLDevice(canvas);
  const gl = gpu ? null : (canvas.getContext("webgl2") as WebGL2RenderingContext);
  const start = performance.now();
  const renderer: AvatarRenderer = device.load(avatar, false);
  const finished = async () => {
    if (gpu) await gpu.card.queue.onSubmittedWorkDone();
    else gl!.readPixels(0, 0, 1, 1, gl!.RGBA, gl!.UNSIGNED_BYTE, new Uint8Array(4));
  };
  const found: { ms: number; js: number }[] = [];
  let loaded = 0;
  for (let round = 0; round < rounds; round++) {
    let js = 0;
    const from = performance.now();
    for (let f = 0; f < frames; f++) {
      const before = performance.now();
      sequence.sample((f * 7) % (sequence.frames - 1), pose, columns);
      renderer.pose(pose);
      renderer.render(view, { rgb: [1, 1, 1], alpha: 1 });
      js += performance.now() - before;
      // One frame in flight, as a display would have it.
      await finished();
      if (!loaded) loaded = performance.now() - start;
    }
    found.push({ ms: (performance.now() - from) / frames, js: js / frames });
  }
  const bytes = renderer.bytes;
  gpu?.check();
  renderer.dispose();
  device.dispose();
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return { found, bytes, loaded, count: avatar.count };
}

function viewOf(avatar: Avatar, size: number, json: Job): View {
  const middle: [number, number, number] = [0, 0, 0];
  avatar.head.template.forEach((value, i) => {
    middle[i % 3] += value / avatar.head.vertexCount;
  });
  const eye: [number, number, number] = [middle[0], middle[1], middle[2] + 0.8];
  const camera = json ? fitCamera(cameraOf(json), size, size) : lookAt(eye, middle, 0.5, size, size);
  const { rotation, translation, fx, fy, cx, cy } = camera;
  const at = positionOf(camera);
  return { rotation, translation, eye: at, intrinsics: [fx, fy, cx, cy], width: size, height: size, near: 0.2 };
}

// What tests wait for, and call.
Object.assign(window, { flameport: { adapter, play, sort, lose, again, repaint, choose, relay, measure } });
