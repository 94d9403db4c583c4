// Makes a folder with the pages of viewers/: `node bundle_viewers.mjs OUT`. They need nothing from any network.
import { copyFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL("viewers/", import.meta.url));
const [out] = process.argv.slice(2);
await build({
  entryPoints: ["three", "babylon", "playcanvas"].map((name) => path.join(here, `${name}.mjs`)),
  outdir: out,
  bundle: true,
  splitting: true, // or what Babylon imports late is wrapped, and some of it never unwrapped
  format: "esm",
  target: "es2022",
  logLevel: "error",
});
await copyFile(path.join(here, "index.html"), path.join(out, "index.html"));
