// Poses the skinned mesh of a GLB with Babylon.js on the CPU and writes its vertices.
//   node babylon_pose.mjs FILE.glb OUT.f64 SECONDS...
// OUT.f64 holds little-endian doubles, [times, vertices, 3]. Prints { name, vertices, targets, influences, unlit } as JSON;
// influences are the largest weight of each target at these times.
import { readFile, writeFile } from "node:fs/promises";
import { NullEngine } from "@babylonjs/core/Engines/nullEngine.js";
import { LoadAssetContainerAsync } from "@babylonjs/core/Loading/sceneLoader.js";
import { Logger } from "@babylonjs/core/Misc/logger.js";
import { Tools } from "@babylonjs/core/Misc/tools.js";
import { Scene } from "@babylonjs/core/scene.js";
import "@babylonjs/loaders/glTF/2.0/index.js";
import { MeshoptDecoder } from "three/addons/libs/meshopt_decoder.module.js";

const FPS = 60; // of the frames that Babylon's loader counts in
const [path, out, ...seconds] = process.argv.slice(2);
Logger.LogLevels = Logger.ErrorLogLevel;
// The only script it asks for is its decoder of meshopt, which it would fetch from its makers' server. Node has no workers
// of the kind it would start.
Tools.LoadScript = (_url, done) => {
  globalThis.MeshoptDecoder = { ...MeshoptDecoder, useWorkers() {} };
  done();
};

const scene = new Scene(new NullEngine());
scene.useRightHandedSystem = true;
const bytes = new Uint8Array(await readFile(path));
const container = await LoadAssetContainerAsync(bytes, scene, { pluginExtension: ".glb" });
container.addAllToScene();
const mesh = container.meshes.find((each) => each.skeleton);
if (!mesh) throw new Error("no skinned mesh");
const nodes = [...container.transformNodes, ...container.meshes];
const [clip] = container.animationGroups;
clip?.start(false);
clip?.pause();

const count = mesh.getTotalVertices();
const targets = Array.from({ length: mesh.morphTargetManager?.numTargets ?? 0 }, (_, i) => mesh.morphTargetManager.getTarget(i));
const influences = targets.map(() => 0);
const result = new Float64Array(seconds.length * count * 3);
seconds.forEach((time, t) => {
  clip?.goToFrame(Number(time) * FPS);
  for (const node of nodes) node.computeWorldMatrix(true);
  mesh.skeleton.prepare(true);
  result.set(mesh.getPositionData(true, true), t * count * 3);
  targets.forEach((target, i) => { influences[i] = Math.max(influences[i], Math.abs(target.influence)); });
});
await writeFile(out, result);
process.stdout.write(JSON.stringify({
  name: mesh.name,
  vertices: count,
  targets: targets.map((target) => target.name),
  influences,
  unlit: mesh.material?.unlit ?? null,
}));
process.exit(0); // its timers would keep Node alive for a second
