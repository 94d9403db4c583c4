import { expect, test } from "vitest";
import { edgesOf } from "../../src/gl/head_mesh.ts";
import { snippets } from "../../src/page/dialogs.ts";

test("addresses cannot leave the attributes that they stand in", () => {
  const hostile = 'https://x/"><script>alert(1)</script>&.glb';
  const [element, script, frame] = snippets({
    page: hostile,
    avatar: hostile,
    sequence: null,
    poster: hostile,
    element: "https://x/lib/element.js",
    module: "https://x/lib/index.js",
  }).map(([, , code]) => code);
  for (const code of [element, frame]) {
    expect(code).not.toContain('"><script>alert');
    expect(code).toContain("&quot;");
  }
  expect(script).toContain(JSON.stringify(hostile));
  expect(element).not.toContain("sequence");
});

test("each edge is drawn once", () => {
  expect([...edgesOf(Uint32Array.of(0, 1, 2, 2, 1, 3))]).toEqual([0, 1, 1, 2, 2, 0, 1, 3, 3, 2]);
});
