// node ktx2_transcode.mjs NODE_MODULES IN OUT: a KTX2's largest level as RGBA bytes, by three.js' Basis transcoder.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import vm from "node:vm";

const [modules, from, to] = process.argv.slice(2);
const folder = join(modules, "three", "examples", "jsm", "libs", "basis");
const module = { exports: {} };
const source = readFileSync(join(folder, "basis_transcoder.js"), "utf8");
vm.runInThisContext(`(function(module, exports, require, __dirname, __filename){${source}\nmodule.exports = BASIS;})`)(
  module, module.exports, () => ({}), folder, join(folder, "basis_transcoder.js"));
const basis = await module.exports({ wasmBinary: readFileSync(join(folder, "basis_transcoder.wasm")) });
basis.initializeBasis();
const file = new basis.KTX2File(new Uint8Array(readFileSync(from)));
file.startTranscoding();
const pixels = new Uint8Array(file.getImageTranscodedSizeInBytes(0, 0, 0, 13));
if (!file.transcodeImage(pixels, 0, 0, 0, 13, 0, -1, -1)) process.exit(2);
writeFileSync(to, pixels);
console.log(JSON.stringify({ width: file.getWidth(), height: file.getHeight(), levels: file.getLevels(), dfdTransfer: file.getDFDTransferFunc?.() }));
