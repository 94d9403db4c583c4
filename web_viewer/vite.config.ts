import { defineConfig } from "vite";
import { thirdParty } from "./third_party.ts";
import { withoutEval } from "./without_eval.ts";

// Relative addresses: the built page works from any folder of any static server.
export default defineConfig({
  base: "./",
  plugins: [thirdParty(), withoutEval()],
  worker: { format: "es", plugins: () => [withoutEval()] },
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 150 },
});
