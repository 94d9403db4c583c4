// Poses the skinned mesh of a GLB with three.js on the CPU and writes its vertices.
//   node three_pose.mjs FILE.glb OUT.f64 SECONDS...
// OUT.f64 holds little-endian doubles, [times, vertices, 3]. Prints { name, vertices, targets, influences, unlit, scenes,
// points } as JSON; influences are the largest weight of each target at these times.
import { readFile, writeFile } from "node:fs/promises";
import { AnimationMixer, Texture, Vector3 } from "three";
import { MeshoptDecoder } from "three/addons/libs/meshopt_decoder.module.js";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

globalThis.self = globalThis; // three asks the browser's global for URL
class NoPictures {
  // Node decodes no images, and vertices need none.
  name = "no_pictures";
  loadTexture() {
    return Promise.resolve(new Texture());
  }
}

const [path, out, ...seconds] = process.argv.slice(2);
const bytes = await readFile(path);
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder).register(() => new NoPictures());
const gltf = await loader.parseAsync(buffer, "");

let mesh = null;
for (const scene of gltf.scenes) scene.traverse((node) => { if (node.isSkinnedMesh) mesh = node; });
if (!mesh) throw new Error("no skinned mesh");
const scene = gltf.scenes.find((each) => { let has = false; each.traverse((n) => { has ||= n === mesh; }); return has; });
const mixer = new AnimationMixer(scene);
for (const clip of gltf.animations) {
  const action = mixer.clipAction(clip);
  action.setLoop(2200, 1); // LoopOnce, or the last key would wrap to the first
  action.clampWhenFinished = true;
  action.play();
}

const count = mesh.geometry.attributes.position.count;
const result = new Float64Array(seconds.length * count * 3);
const influences = Object.keys(mesh.morphTargetDictionary ?? {}).map(() => 0);
const vertex = new Vector3();
seconds.forEach((time, t) => {
  mixer.setTime(Number(time));
  scene.updateMatrixWorld(true);
  mesh.skeleton.update();
  influences.forEach((most, i) => { influences[i] = Math.max(most, Math.abs(mesh.morphTargetInfluences[i])); });
  for (let i = 0; i < count; i++) {
    mesh.getVertexPosition(i, vertex).applyMatrix4(mesh.matrixWorld);
    vertex.toArray(result, (t * count + i) * 3);
  }
});
await writeFile(out, result);
process.stdout.write(JSON.stringify({
  name: mesh.name,
  vertices: count,
  targets: Object.keys(mesh.morphTargetDictionary ?? {}),
  influences,
  unlit: mesh.material.isMeshBasicMaterial === true,
  scenes: gltf.scenes.map((each) => each.name),
  points: gltf.scenes.map((each) => { let n = 0; each.traverse((node) => { if (node.isPoints) n += node.geometry.attributes.position.count; }); return n; }),
}));
