// Babylon.js in a right-handed scene: the head, or the splats as its own loader of KHR_gaussian_splatting has them.
import { FreeCamera } from "@babylonjs/core/Cameras/freeCamera.js";
import { Engine } from "@babylonjs/core/Engines/engine.js";
import { LoadAssetContainerAsync } from "@babylonjs/core/Loading/sceneLoader.js";
import { Color4 } from "@babylonjs/core/Maths/math.color.js";
import { Vector3 } from "@babylonjs/core/Maths/math.vector.js";
import { Logger } from "@babylonjs/core/Misc/logger.js";
import { Tools } from "@babylonjs/core/Misc/tools.js";
import { Scene } from "@babylonjs/core/scene.js";
import "@babylonjs/loaders/glTF/2.0/index.js";
import { MeshoptDecoder } from "three/addons/libs/meshopt_decoder.module.js";
import { canvas, drawn, query, readCamera, seconds } from "./view.mjs";

Logger.LogLevels = Logger.ErrorLogLevel;
// The only script it asks for is its decoder of meshopt, which it would fetch from its makers' server.
Tools.LoadScript = (_url, done) => { window.MeshoptDecoder = MeshoptDecoder; done(); };

const view = await readCamera();
const engine = new Engine(canvas, false, { preserveDrawingBuffer: true });
const scene = new Scene(engine);
scene.useRightHandedSystem = true;
scene.clearColor = new Color4(1, 1, 1, 1);
const camera = new FreeCamera("camera", Vector3.FromArray(view.eye), scene);
camera.fov = view.fov;
camera.minZ = 0.01;
camera.maxZ = 100;
camera.upVector = Vector3.FromArray(view.up);
camera.setTarget(Vector3.FromArray(view.target));
const container = await LoadAssetContainerAsync(query.get("file"), scene); // of the file's default scene
container.addAllToScene();
for (const clip of seconds === null ? [] : container.animationGroups) {
  clip.start(false);
  clip.pause();
  clip.goToFrame(seconds * 60); // the loader counts in sixtieths
}
await scene.whenReadyAsync();

const layers = container.meshes.filter((mesh) => mesh.getClassName() === "GaussianSplattingMesh");
engine.runRenderLoop(() => {
  scene.render();
  drawn(() => ({ splats: layers.reduce((sum, mesh) => sum + mesh.splatCount, 0) }));
});
