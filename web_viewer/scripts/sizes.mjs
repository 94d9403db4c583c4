// What a program that plays avatars loads, in bytes: `node scripts/sizes.mjs` prints JSON, `--write` puts the table into README.md.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import zlib from "node:zlib";
import { build } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const WRITE = process.argv.includes("--write");
const PROGRAM = "\0program";
const WHY = {
  program: "`loadAvatar` and `Player`: all that plays an avatar of splats, grade `small` included",
  rare_layers: "avatars with mesh layers, strands, networks or an image decoder: reading them",
  painting: "changing textures and maps while it plays",
  extras: "avatars with mesh layers or an image decoder: drawing them",
  networks: "avatars with networks",
  onnx_runner: "the same: onnxruntime-web",
  "ort-wasm": "the same: its WebAssembly",
  late_order: "avatars of more than 100 000 Gaussians",
  ktx2: "avatars with KTX2 textures",
  basis: "the same: the transcoder, in a worker where the page may have one",
  basis_transcoder: "the same: its WebAssembly",
  gpu: "drawing with WebGPU (`chooseDevice`)",
  element: "the custom element, with everything that plays",
  three: "avatars in three.js scenes, with everything that plays; three.js itself apart",
};

/** Bundle a program as a web developer would; returns its files. */
async function bundle(source) {
  const { output } = await build({
    root,
    configFile: false,
    logLevel: "silent",
    plugins: [
      {
        name: "program",
        resolveId: (id) => (id === PROGRAM || id.endsWith(`/${PROGRAM}`) ? PROGRAM : null),
        load: (id) => (id === PROGRAM ? source : null),
      },
    ],
    build: {
      write: false,
      target: "es2022",
      assetsInlineLimit: 0,
      modulePreload: false,
      rollupOptions: { input: { program: PROGRAM }, external: ["three"] },
    },
  });
  return output.map((file) => {
    const body = Buffer.from(file.code ?? file.source);
    const { name = file.names?.[0] ?? "", isEntry = false, imports = [] } = file;
    // WebAssembly of twelve megabytes takes long, and is no script.
    const gzip = WRITE || file.code ? zlib.gzipSync(body, { level: 9 }).length : null;
    return { name: name.replace(/\.[a-z]+$/, ""), isEntry, imports, bytes: body.length, gzip };
  });
}

const at = (name) => JSON.stringify(`${root}src/${name}.ts`);
const played = await bundle(
  `import { loadAvatar, Player } from ${at("index")};
   window.show = async (canvas, address) => new Player(canvas).setAvatar(await loadAvatar(address));`,
);
const others = {
  element: await bundle(`import ${at("element")};`),
  three: await bundle(`import { FlameAvatar } from ${at("three")}; window.avatar = FlameAvatar;`),
  gpu: await bundle(`import { chooseDevice } from ${at("index")}; window.device = chooseDevice;`),
};
const rows = [];
const add = (name, file) => rows.push({ name, why: WHY[name] ?? "", bytes: file.bytes, gzip: file.gzip });
add("program", played.find((file) => file.isEntry));
for (const file of played.filter((each) => !each.isEntry)) {
  const known = Object.keys(WHY).filter((name) => file.name.startsWith(name));
  add(known.sort((a, b) => b.length - a.length)[0] ?? file.name, file);
}
add("gpu", others.gpu.find((file) => ["gpu", "index"].includes(file.name) && !file.isEntry));
for (const name of ["element", "three"]) add(name, others[name].find((file) => file.isEntry));
const needed = played.find((file) => file.isEntry).imports;

if (WRITE) {
  const kb = (bytes) => (bytes / 1000).toFixed(bytes < 10_000 ? 1 : 0);
  const order = Object.keys(WHY);
  const listed = rows.filter((row) => row.why).sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const lines = listed.map(({ why, bytes, gzip }, i) => `| ${why} | ${i ? "" : "**"}${kb(gzip)}${i ? "" : "**"} | ${kb(bytes)} |`);
  const table = ["| loaded for | kB gzipped | kB |", "|---|---|---|", ...lines].join("\n");
  const readme = `${root}README.md`;
  const text = readFileSync(readme, "utf8");
  writeFileSync(readme, text.replace(/(<!-- sizes -->\n)[^]*?(\n<!-- \/sizes -->)/, `$1${table}$2`));
}
process.stdout.write(`${JSON.stringify({ needed, rows })}\n`);
