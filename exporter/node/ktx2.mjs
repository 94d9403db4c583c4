// Called by exporter/ktx2.py: node ktx2.mjs encode|decode NODE_MODULES IN OUT [WIDTH HEIGHT uastc|etc1s QUALITY MIPS]
// encode: raw RGBA of 8 bits, rows from the top, to KTX2. decode: the largest level of a KTX2 to the same, behind two
// 32-bit numbers: width and height.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [command, modules, from, to, ...rest] = process.argv.slice(2);
const load = (...path) => import(pathToFileURL(join(modules, "ktx2-encoder", "dist", ...path)).href);
const RGBA32 = 13;

async function encode() {
  const [width, height, , quality] = rest.map(Number);
  const isUASTC = rest[2] === "uastc";
  const { encodeToKTX2 } = await load("node", "index.js");
  const file = await encodeToKTX2(new Uint8Array(readFileSync(from)), {
    isUASTC,
    ...(isUASTC ? { uastcLDRQualityLevel: quality, needSupercompression: true } : { qualityLevel: quality }),
    generateMipmap: rest[4] === "mips",
    isPerceptual: true,
    isSetKTX2SRGBTransferFunc: true,
    kvData: { KTXorientation: "rd", KTXwriter: "flameport" },
    imageDecoder: async (data) => ({ width, height, data }),
  });
  writeFileSync(to, file);
}

async function decode() {
  const { default: BASIS } = await load("basis", "basis_encoder.js");
  const basis = await BASIS();
  basis.initializeBasis();
  const file = new basis.KTX2File(new Uint8Array(readFileSync(from)));
  if (!file.isValid() || !file.startTranscoding()) throw new Error("no KTX2 that Basis Universal reads");
  const [width, height] = [file.getWidth(), file.getHeight()];
  const size = file.getImageTranscodedSizeInBytes(0, 0, 0, RGBA32);
  if (width * height * 4 !== size || size > 2 ** 28) throw new Error(`a picture of ${width} x ${height} is not read`);
  const out = new Uint8Array(8 + size);
  new DataView(out.buffer).setUint32(0, width, true);
  new DataView(out.buffer).setUint32(4, height, true);
  const pixels = new Uint8Array(size);
  if (!file.transcodeImage(pixels, 0, 0, 0, RGBA32, 0, -1, -1)) throw new Error("the picture is damaged");
  out.set(pixels, 8);
  writeFileSync(to, out);
}

await { encode, decode }[command]();
