// three.js: the head as everybody shows it, or its own splats: WebGPURenderer on its WebGL2 back end, and the loader plug-in
// that comes with three.
import { WebGLRenderer } from "three";
import { AnimationMixer, Color, LinearSRGBColorSpace, PerspectiveCamera, Scene, WebGPURenderer } from "three/webgpu";
import { MeshoptDecoder } from "three/addons/libs/meshopt_decoder.module.js";
import { GLTFGaussianSplatLoaderExtension } from "three/addons/loaders/GLTFGaussianSplatLoaderExtension.js";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { canvas, drawn, query, readCamera, seconds } from "./view.mjs";

const view = await readCamera();
const renderer = seconds === null ? new WebGPURenderer({ canvas, forceWebGL: true }) : new WebGLRenderer({ canvas });
renderer.setPixelRatio(1);
renderer.setSize(view.width, view.height);
if (seconds === null) {
  // three takes splats' colours for linear whatever the file's colorSpace says, and would encode sRGB a second time (paler).
  renderer.outputColorSpace = LinearSRGBColorSpace;
  await renderer.init();
}

const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
loader.register((parser) => new GLTFGaussianSplatLoaderExtension(parser));
const gltf = await loader.loadAsync(query.get("file"));
const scene = new Scene();
scene.background = new Color(0xffffff);
scene.add(gltf.scene); // the file's default scene
if (seconds !== null) {
  const mixer = new AnimationMixer(gltf.scene);
  mixer.clipAction(gltf.animations[0]).play();
  mixer.setTime(seconds);
}
const camera = new PerspectiveCamera((view.fov * 180) / Math.PI, view.width / view.height, 0.01, 100);
camera.up.set(...view.up);
camera.position.set(...view.eye);
camera.lookAt(...view.target);

renderer.setAnimationLoop(() => {
  renderer.render(scene, camera);
  drawn(() => {
    let splats = 0;
    gltf.scene.traverse((node) => { if (node.isGaussianSplat) splats += node.splatGeometry.attributes.position.count; });
    return { splats };
  }, { enough: 2, seconds: 0 }); // it sorts before it draws
});
