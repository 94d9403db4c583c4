/** Grade `small` against what Python reads from the same bytes, and its decoder against damage. */
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readAvatar } from "../src/avatar/avatar.ts";
import { loadAvatar } from "../src/avatar/load.ts";
import { decodeIndices, decodeRows } from "../src/avatar/meshopt.ts";
import { readSequence } from "../src/driving/sequence_json.ts";
import { AvatarFormatError } from "../src/errors.ts";
import { Pose } from "../src/posing/pose.ts";
import { PosedAvatar } from "../src/posing/posed_avatar.ts";
import { goldenBytes, goldenJson, withJson } from "./files.ts";

/** Metres: both sides decode the same integers; the rest is float32 and seven stored digits. */
const METERS = 1e-6;

const names = readdirSync(new URL("../../tests/golden/small/", import.meta.url))
  .filter((name) => name.endsWith(".glb"))
  .map((name) => `../small/${name.slice(0, -4)}`);

describe.each(names)("%s", (name) => {
  const avatar = readAvatar(goldenBytes(`${name}.glb`));
  const golden = goldenJson(`${name}.json`);

  it("is posed as Python poses it", () => {
    const sequence = readSequence(goldenJson(`${name}.clip.json`), avatar.head);
    const posed = new PosedAvatar(avatar);
    const pose = new Pose(avatar.head);
    const columns = sequence.columns(avatar.head);
    const { order } = avatar.layers[0];
    expect(avatar.grade).toBe("small");
    expect(order).not.toBeNull();
    for (const frame of golden.frames) {
      sequence.sample(frame.t, pose, columns);
      posed.pose(pose);
      const far = (a: number, b: number) => expect(Math.abs(a - b)).toBeLessThan(METERS);
      posed.head.vertices.forEach((x, i) => {
        far(x, frame.vertices[i]);
      });
      order!.forEach((gaussian, i) => {
        for (let c = 0; c < 3; c++) far(posed.centers[0][3 * i + c], frame.means[3 * gaussian + c]);
      });
    }
  });

  it("plays its own clip", () => {
    expect(avatar.clip!.expressions).toBeGreaterThan(0);
  });
});

describe("a damaged small file", () => {
  const good = goldenBytes("../small/seams.glb");

  it("is refused wherever it is changed, or read", async () => {
    const size = new DataView(good).getUint32(12, true);
    for (let at = 20 + size + 8; at < good.byteLength; at += 61) {
      const bytes = good.slice(0);
      new Uint8Array(bytes)[at] ^= 0xff;
      await loadAvatar(bytes).catch((error) => expect(error).toBeInstanceOf(AvatarFormatError));
    }
  });

  it.each([
    ["count", 1 << 30],
    ["count", 3],
    ["byteStride", 6],
    ["byteStride", 1e6],
    ["byteLength", 8],
    ["mode", "TRIANGLES"],
    ["filter", "OCTAHEDRAL"],
  ])("is refused when %s is %s", async (key, value) => {
    const changed = withJson(good, (json) => {
      const { mesh } = json.extensions.FLAMEPORT_avatar.head;
      const positions = json.accessors[json.meshes[mesh].primitives[0].attributes.POSITION];
      json.bufferViews[positions.bufferView].extensions.EXT_meshopt_compression[key] = value;
    });
    await expect(loadAvatar(changed)).rejects.toThrow(AvatarFormatError);
  });

  it("is refused when a stream is of another version or too short", () => {
    expect(() => decodeRows(new Uint8Array(200), 16, 4)).toThrow(AvatarFormatError);
    expect(() => decodeIndices(Uint8Array.of(0xd1, 2, 0, 0, 0, 0), 2)).toThrow(AvatarFormatError);
  });
});
