/** Files from strangers: whatever is wrong with one, the answer is a readable error, quickly. */
import { describe, expect, it } from "vitest";
import { loadAvatar } from "../src/avatar/load.ts";
import { AvatarFormatError } from "../src/errors.ts";
import { goldenBytes, withJson } from "./files.ts";

const GOOD = goldenBytes("edge-height.glb");

// biome-ignore lint/suspicious/noExplicitAny: glTF's JSON, changed in every way
type Change = (json: any) => void;

const BROKEN: [string, Change, RegExp][] = [
  ["no extension", (json) => delete json.extensions, /no flameport avatar/],
  ["a later version", (json) => Object.assign(json.extensions.FLAMEPORT_avatar, { version: "2.0" }), /version 2\.0/],
  ["an unknown requirement", (json) => Object.assign(json, { extensionsRequired: ["ACME_x"] }), /ACME_x/],
  ["a count beyond the file", (json) => Object.assign(positions(json), { count: 1e9 }), /outside the file/],
  ["an endless accessor without bytes", (json) => endless(positions(json)), /without bytes/],
  [
    "a view outside",
    (json) => Object.assign(json.bufferViews[positions(json).bufferView], { byteOffset: 1e8 }),
    /outside the file/,
  ],
  [
    "a negative offset",
    (json) => Object.assign(json.bufferViews[positions(json).bufferView], { byteOffset: -4 }),
    /makes no sense/,
  ],
  ["a missing mesh", (json) => Object.assign(json.extensions.FLAMEPORT_avatar.head, { mesh: 99 }), /meshes\[99\]/],
  ["too few targets", (json) => json.meshes[0].primitives[0].targets.pop(), /targets/],
  [
    "layers of another kind",
    (json) => Object.assign(json.extensions.FLAMEPORT_avatar.layers[0], { kind: "fog" }),
    /fog/,
  ],
  [
    "meshopt",
    (json) =>
      Object.assign(json.bufferViews[positions(json).bufferView], { extensions: { KHR_meshopt_compression: {} } }),
    /meshopt/,
  ],
  ["no head", (json) => delete json.extensions.FLAMEPORT_avatar.head, /head/],
  ["nodes gone", (json) => delete json.nodes, /nodes/],
];

// biome-ignore lint/suspicious/noExplicitAny: glTF's JSON
function positions(json: any) {
  const { mesh } = json.extensions.FLAMEPORT_avatar.head;
  return json.accessors[json.meshes[mesh].primitives[0].attributes.POSITION];
}

function endless(accessor: Record<string, unknown>): void {
  delete accessor.bufferView;
  accessor.count = 4e9;
}

describe("a damaged avatar", () => {
  it("is fine when it is not damaged", async () => {
    const avatar = await loadAvatar(GOOD);
    expect(avatar.count).toBe(16);
    expect(avatar.licenseNotices).toEqual(["Made by the tests; free for any use."]);
  });

  it.each(BROKEN)("with %s says so", async (_, change, wanted) => {
    const error = await loadAvatar(withJson(GOOD, change)).then(
      () => null,
      (caught) => caught,
    );
    expect(error).toBeInstanceOf(AvatarFormatError);
    expect(error.message).toMatch(wanted);
  });

  it("cut off anywhere says so", async () => {
    for (let at = 0; at < GOOD.byteLength; at += 997) {
      await expect(loadAvatar(GOOD.slice(0, at))).rejects.toBeInstanceOf(AvatarFormatError);
    }
  });

  it("with any key of its JSON gone or replaced never fails in another way", async () => {
    const paths: (string | number)[][] = [];
    withJson(GOOD, (json) => collect(json, [], paths));
    for (let i = 0; i < paths.length; i += 37) {
      for (const value of [undefined, -1, "x", null, [], 1e12]) {
        const broken = withJson(GOOD, (json) => {
          const path = paths[i];
          const parent = path.slice(0, -1).reduce((at, key) => at[key], json);
          parent[path[path.length - 1]] = value;
        });
        const error = await loadAvatar(broken).then(
          () => null,
          (caught) => caught,
        );
        if (error) expect(error, `${paths[i].join(".")} = ${value}: ${error.stack}`).toBeInstanceOf(AvatarFormatError);
      }
    }
  });
});

function collect(at: unknown, path: (string | number)[], out: (string | number)[][]): void {
  if (typeof at !== "object" || at === null) return;
  for (const key of Object.keys(at)) {
    out.push([...path, key]);
    collect((at as Record<string, unknown>)[key], [...path, key], out);
  }
}
