// PlayCanvas: the head, or the splats as its own loader of KHR_gaussian_splatting has them.
import {
  AnimClipHandler, AnimComponentSystem, AppBase, AppOptions, Asset, CameraComponentSystem, Color, ContainerHandler,
  createGraphicsDevice, Entity, FILLMODE_NONE, GSplatComponentSystem, GSplatHandler, RenderComponentSystem, RESOLUTION_FIXED, TextureHandler, Vec3,
} from "playcanvas";
import { MeshoptDecoder } from "three/addons/libs/meshopt_decoder.module.js";
import { canvas, drawn, query, readCamera, seconds } from "./view.mjs";

const view = await readCamera();
const device = await createGraphicsDevice(canvas, { deviceTypes: ["webgl2"], antialias: false });
device.maxPixelRatio = 1;
const options = new AppOptions();
options.graphicsDevice = device;
options.componentSystems = [RenderComponentSystem, CameraComponentSystem, GSplatComponentSystem, AnimComponentSystem];
options.resourceHandlers = [TextureHandler, ContainerHandler, GSplatHandler, AnimClipHandler];
const app = new AppBase(canvas);
app.init(options);
app.setCanvasFillMode(FILLMODE_NONE, view.width, view.height);
app.setCanvasResolution(RESOLUTION_FIXED, view.width, view.height);
app.start();

// PlayCanvas does not know meshopt, but lets the page give the bytes of a view.
async function unpacked(bufferView, buffers) {
  const packed = bufferView.extensions?.EXT_meshopt_compression;
  if (!packed) return null;
  await MeshoptDecoder.ready;
  const start = packed.byteOffset ?? 0;
  const source = (await buffers[packed.buffer]).subarray(start, start + packed.byteLength);
  const bytes = new Uint8Array(packed.count * packed.byteStride);
  MeshoptDecoder.decodeGltfBuffer(bytes, packed.count, packed.byteStride, source, packed.mode, packed.filter);
  return bytes;
}

const asset = new Asset("avatar", "container", { url: query.get("file") }, undefined, {
  bufferView: { processAsync: (each, buffers, done) => unpacked(each, buffers).then((bytes) => done(null, bytes), done) },
});
await new Promise((done, failed) => {
  asset.on("load", done);
  asset.on("error", (message) => failed(new Error(message)));
  app.assets.add(asset);
  app.assets.load(asset);
});
const avatar = asset.resource.instantiateRenderEntity();
// It shows all scenes of a file together, whichever is the default one.
for (const scene of avatar.children) scene.enabled = scene.name === (seconds === null ? "splat_scene" : "mesh_scene");
app.root.addChild(avatar);
if (seconds !== null) {
  avatar.addComponent("anim", { activate: true });
  avatar.anim.assignAnimation("clip", asset.resource.animations[0].resource);
  avatar.anim.baseLayer.play("clip");
  avatar.anim.baseLayer.pause();
  avatar.anim.baseLayer.activeStateCurrentTime = seconds;
}
const camera = new Entity("camera");
camera.addComponent("camera", {
  clearColor: new Color(1, 1, 1), fov: (view.fov * 180) / Math.PI, nearClip: 0.01, farClip: 100,
});
camera.setPosition(...view.eye);
camera.lookAt(new Vec3(...view.target), new Vec3(...view.up));
app.root.addChild(camera);

const layers = avatar.findComponents("gsplat").filter((each) => each.entity.enabled);
app.on("frameupdate", () => { app.renderNextFrame = true; });
app.on("frameend", () => drawn(() => ({ splats: layers.reduce((sum, each) => sum + each.resource.numSplats, 0) })));
