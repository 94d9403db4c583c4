import { defineConfig } from "vite";
import { thirdParty } from "./third_party.ts";
import { withoutEval } from "./without_eval.ts";

/** The npm package: modules that share chunks; what is rarely needed (networks, KTX2, WebGPU) is loaded when it is. */
export default defineConfig({
  base: "./",
  plugins: [thirdParty(), withoutEval()],
  worker: { format: "es", plugins: () => [withoutEval()] },
  publicDir: false,
  build: {
    outDir: "dist/lib",
    target: "es2022",
    assetsInlineLimit: 0,
    sourcemap: true,
    modulePreload: false,
    chunkSizeWarningLimit: 150,
    rollupOptions: {
      input: { index: "src/index.ts", element: "src/element.ts", three: "src/three.ts" },
      preserveEntrySignatures: "strict",
      // Only three itself: its Basis transcoder comes with us.
      external: ["three"],
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "chunks/[name]-[hash].js",
        assetFileNames: "chunks/[name]-[hash][extname]",
      },
    },
  },
});
