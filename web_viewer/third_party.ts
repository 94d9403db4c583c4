/** Licences of what a build contains of other people's work, as a text beside it. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Plugin } from "vite";

const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify,
merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished
to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE
FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

/** What packages do not say in a file of their own. */
const KNOWN: Record<string, string> = {
  "onnxruntime-web": `Copyright (c) Microsoft Corporation\n\n${MIT}`,
  // Its examples carry Binomial's transcoder.
  "three/examples/jsm/libs/basis":
    "Basis Universal transcoder, Copyright (C) Binomial LLC, under the Apache License 2.0 (the text is in LICENSE).",
};

/** Writes `third-party-licenses.txt` and our own `LICENSE` beside what is built. */
export function thirdParty(): Plugin {
  return {
    name: "third-party",
    generateBundle(_, bundle) {
      const ids = Object.values(bundle).flatMap((file) => (file.type === "chunk" ? Object.keys(file.modules) : []));
      const found = new Map<string, string>();
      for (const id of ids) {
        const inside = id.split("node_modules/");
        const rest = inside[inside.length - 1];
        if (inside.length < 2 || id.startsWith("\0")) continue;
        const name = rest.split("/", rest.startsWith("@") ? 2 : 1).join("/");
        const root = path.join(id.slice(0, id.length - rest.length), name);
        const part = Object.keys(KNOWN).find((key) => rest.startsWith(`${key}/`));
        if (part) found.set(part, KNOWN[part]);
        else if (!found.has(name)) found.set(name, ownLicense(root));
      }
      const parts = [...found]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, text]) => `${name}\n\n${text.trim()}\n`);
      const source = parts.join(`\n${"-".repeat(80)}\n\n`);
      this.emitFile({ type: "asset", fileName: "third-party-licenses.txt", source });
      this.emitFile({
        type: "asset",
        fileName: "LICENSE",
        source: readFileSync(new URL("../LICENSE", import.meta.url)),
      });
    },
  };
}

function ownLicense(root: string): string {
  for (const name of ["LICENSE", "LICENSE.md", "LICENSE.txt", "license"]) {
    if (existsSync(path.join(root, name))) return readFileSync(path.join(root, name), "utf8");
  }
  throw new Error(`${root} has no licence file; say what it is in third_party.ts`);
}
