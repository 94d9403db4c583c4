// Prints what the Khronos glTF validator says about a GLB, as one JSON object.
//   node validate.mjs FILE.glb
import { readFile } from "node:fs/promises";
import validator from "gltf-validator";

const [path] = process.argv.slice(2);
const report = await validator.validateBytes(new Uint8Array(await readFile(path)), {
  uri: path,
  maxIssues: 0,
  writeTimestamp: false,
});
process.stdout.write(
  JSON.stringify({ validatorVersion: report.validatorVersion, messages: report.issues.messages, info: report.info }),
);
