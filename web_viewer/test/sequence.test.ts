import { describe, expect, it } from "vitest";
import { readAvatar } from "../src/avatar/avatar.ts";
import { cameraOf, fitCamera, lookAt, positionOf } from "../src/camera/camera.ts";
import { readSequence } from "../src/driving/sequence_json.ts";
import { SequenceError } from "../src/errors.ts";
import { Pose } from "../src/posing/pose.ts";
import { goldenBytes, goldenJson } from "./files.ts";

const { head } = readAvatar(goldenBytes("edge-height.glb"));
const CLIP = goldenJson("edge-height.clip.json");

function changed(change: (json: typeof CLIP) => void) {
  const json = structuredClone(CLIP);
  change(json);
  return json;
}

describe("sequence JSON", () => {
  it("takes zero for what a frame leaves out", () => {
    const clip = readSequence(
      { format: "flameport.sequence/1", fps: 25, basis: "standin", frames: [{}, { jaw: [1, 0, 0] }] },
      head,
    );
    const pose = new Pose(head);
    clip.sample(0.5, pose, clip.columns(head));
    expect([...pose.jaw]).toEqual([0.5, 0, 0]);
    expect([...pose.expr]).toEqual(new Array(head.exprNames.length).fill(0));
  });

  it("gives what is made from its fields, unless it holds that itself", () => {
    const pose = new Pose(head);
    pose.jaw.set([Math.PI / 2, 0, 0]);
    pose.eyes.set([0, Math.PI / 2, 0, 0, 0, Math.PI / 2]);
    pose.translation.set([1, 2, 3]);
    const near = (name: string, wanted: number[]) => {
      const found = [...pose.driver(name)!];
      expect(found.length).toBe(wanted.length);
      for (const [i, value] of wanted.entries()) expect(found[i]).toBeCloseTo(value, 12);
    };
    near("jaw_6d", [1, 0, 0, 0, 0, -1]);
    near("eyes_6d", [0, 0, 1, 0, 1, 0, 0, -1, 0, 1, 0, 0]);
    near("absolute_pose", [0, 0, 0, 1, 2, 3]);
    pose.drivers.set("jaw_6d", Float64Array.of(1, 2, 3, 4, 5, 6));
    near("jaw_6d", [1, 2, 3, 4, 5, 6]);
    expect(pose.driver("mood")).toBeUndefined();
  });

  it("is held at both ends", () => {
    const clip = readSequence(CLIP, head);
    const poses = [-3, 0, clip.frames - 1, 1e9].map((t) => {
      const pose = new Pose(head);
      clip.sample(t, pose, clip.columns(head));
      return [...pose.expr, ...pose.jaw];
    });
    expect(poses[0]).toEqual(poses[1]);
    expect(poses[2]).toEqual(poses[3]);
  });

  it.each([
    ["another basis", changed((json) => Object.assign(json, { basis: "flame2020" })), /flame2020/],
    ["another head", changed((json) => Object.assign(json, { edition: "0".repeat(64) })), /another head/],
    ["an unknown expression", changed((json) => (json.expr_names[0] = "wink")), /wink/],
    ["a short row", changed((json) => json.frames[2].expr.pop()), /frame 2, expr/],
    ["text for numbers", changed((json) => (json.frames[1].jaw = ["a", 0, 0])), /frame 1, jaw/],
    ["no frames", changed((json) => (json.frames = [])), /no frames/],
    ["no rate", changed((json) => (json.fps = 0)), /fps/],
    ["a later version", changed((json) => (json.format = "flameport.sequence/2")), /Update/],
    ["something else", { hello: 1 }, /neither/],
  ])("with %s says so", (_, json, wanted) => {
    const read = () => readSequence(json, head).columns(head);
    expect(read).toThrow(SequenceError);
    expect(read).toThrow(wanted);
  });
});

describe("an ARKit track", () => {
  const track = {
    names: ["jawOpen", "browInnerUp", "unheardOf"],
    frames: [{ weights: [0.5, 0.25, 1] }, { weights: [0, 0, 0] }],
  };

  it("drives any head through its map", () => {
    const clip = readSequence(track, head);
    expect(clip.fps).toBe(30);
    const pose = new Pose(head);
    clip.sample(0, pose, clip.columns(head));
    const row = (name: number) => head.arkitMap!.subarray(name * (pose.expr.length + 14));
    // browInnerUp and jawOpen are the third and the 25th of the sorted names.
    for (let e = 0; e < pose.expr.length; e++) expect(pose.expr[e]).toBeCloseTo(0.25 * row(2)[e] + 0.5 * row(24)[e], 6);
    for (let c = 0; c < 3; c++) {
      expect(pose.jaw[c]).toBeCloseTo(0.25 * row(2)[pose.expr.length + c] + 0.5 * row(24)[pose.expr.length + c], 6);
    }
  });

  it("with no name we know is refused", () => {
    expect(() => readSequence({ names: ["a"], frames: [{ weights: [1] }] }, head)).toThrow(SequenceError);
  });
});

describe("cameras", () => {
  it("looks where it should, and knows where it stands", () => {
    const camera = lookAt([0.3, 0.2, 1], [0, 0.1, 0], 0.5, 640, 480);
    positionOf(camera).forEach((value, c) => {
      expect(value).toBeCloseTo([0.3, 0.2, 1][c], 12);
    });
    expect(camera.rotation[4]).toBeLessThan(0); // +y up in the world is up, which is -y, in the picture
  });

  it("keeps the whole picture when the page has another shape", () => {
    const camera = cameraOf(goldenJson("edge-height.json").camera);
    const tall = fitCamera(camera, 100, 400);
    expect(tall.fx / camera.fx).toBeCloseTo(100 / camera.width, 12);
    expect([tall.cx, tall.cy]).toEqual([50, 200]);
  });

  it.each([
    [{}],
    [
      {
        K: [
          [1, 0, 0],
          [0, 1, 0],
          [0, 0, 1],
        ],
      },
    ],
    [null],
  ])("refuses %j", (json) => {
    expect(() => cameraOf(json)).toThrow(SequenceError);
  });
});
