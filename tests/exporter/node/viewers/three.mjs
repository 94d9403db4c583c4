// three.js' own splats: WebGPURenderer on its WebGL2 back end, and the loader plug-in that comes with three.
import { Color, LinearSRGBColorSpace, PerspectiveCamera, Scene, WebGPURenderer } from "three/webgpu";
import { MeshoptDecoder } from "three/addons/libs/meshopt_decoder.module.js";
import { GLTFGaussianSplatLoaderExtension } from "three/addons/loaders/GLTFGaussianSplatLoaderExtension.js";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { canvas, drawn, query, readCamera } from "./view.mjs";

const view = await readCamera();
const renderer = new WebGPURenderer({ canvas, antialias: false, forceWebGL: true });
renderer.setPixelRatio(1);
renderer.setSize(view.width, view.height);
// three takes splats' colours for linear whatever the file's colorSpace says, and would encode sRGB a second time (paler).
renderer.outputColorSpace = LinearSRGBColorSpace;
await renderer.init();

const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
loader.register((parser) => new GLTFGaussianSplatLoaderExtension(parser));
const gltf = await loader.loadAsync(query.get("file"));
const scene = new Scene();
scene.background = new Color(0xffffff);
scene.add(gltf.scene); // the file's default scene
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
