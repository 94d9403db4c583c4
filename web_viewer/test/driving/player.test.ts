/** When a player draws what, with a device that only notes what it is told: pictures are looked at in real browsers. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Avatar, readAvatar } from "../../src/avatar/avatar.ts";
import type { AvatarRenderer, Device } from "../../src/device.ts";
import { fitted } from "../../src/driving/arkit_clip.ts";
import { readSequence } from "../../src/driving/sequence_json.ts";
import { DeviceError } from "../../src/errors.ts";
import { Player } from "../../src/player.ts";
import type { Pose } from "../../src/posing/pose.ts";
import { goldenBytes, goldenJson } from "../files.ts";

const avatar = readAvatar(goldenBytes("edge-height.glb"));

/** Frames of the page, drawn when a test says so. */
let frames: FrameRequestCallback[] = [];
let now = 0;

beforeEach(() => {
  frames = [];
  now = 1000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  vi.stubGlobal("requestAnimationFrame", (call: FrameRequestCallback) => frames.push(call));
  vi.stubGlobal("cancelAnimationFrame", (id: number) => {
    frames[id - 1] = () => {};
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function frame(seconds = 1 / 60): void {
  now += 1000 * seconds;
  for (const call of frames.splice(0)) call(now);
}

function stage(slow: boolean) {
  const log: string[] = [];
  const asked: { jaw: number; done: () => void; fail: (error: Error) => void }[] = [];
  let posed = Number.NaN;
  const renderer: AvatarRenderer = {
    shown: 0,
    bytes: 0,
    pose: (pose: Pose) => {
      posed = pose.jaw[0];
      log.push(`pose ${posed}`);
    },
    render: () => log.push(`picture of ${posed}`),
    readPixels: async () => {
      log.push(`read ${posed}`);
      return new Uint8Array(4);
    },
    readWorld: async () => {
      throw new Error("nobody asks");
    },
    dispose: () => log.push("disposed"),
  } as unknown as AvatarRenderer;
  if (slow) {
    renderer.prepare = (pose) =>
      new Promise((resolve, reject) => {
        asked.push({ jaw: pose.jaw[0], done: resolve, fail: reject });
      });
  }
  const device: Device = { kind: "webgl2", onLost: null, onRestored: null, load: () => renderer, dispose: () => {} };
  const canvas = { width: 8, height: 8 } as HTMLCanvasElement;
  const errors: string[] = [];
  const player = new Player(canvas, { device, onError: (error) => errors.push(error.message) });
  player.setAvatar(avatar);
  player.setSequence(null);
  const jaw = (angle: number) => player.setPose({ jaw: [angle, 0, 0] });
  const soon = () => new Promise((resolve) => setTimeout(resolve));
  return { player, device, log, asked, errors, jaw, soon };
}

describe("a player whose avatar needs time", () => {
  it("shows the pose before until the next one is ready, and never part of one", async () => {
    const { player, log, asked, jaw, soon } = stage(true);
    jaw(1);
    frame();
    jaw(2);
    frame();
    frame();
    expect([asked.length, log]).toEqual([1, []]);
    asked[0].done();
    await soon();
    expect(log).toEqual(["pose 1"]);
    expect(player.getPose()?.jaw[0]).toBe(1);
    frame();
    // The newest is asked for; what came between is left out.
    expect([asked.map((each) => each.jaw), log.at(-1)]).toEqual([[1, 2], "picture of 1"]);
    jaw(3);
    asked[1].done();
    await soon();
    frame();
    expect(log.slice(2)).toEqual(["pose 2", "picture of 2"]);
    asked[2].done();
    await soon();
    frame();
    expect(log.slice(4)).toEqual(["pose 3", "picture of 3"]);
    frame();
    expect(log.length).toBe(6);
  });

  it("reads pictures of the pose that was asked for", async () => {
    const { player, log, asked, jaw, soon } = stage(true);
    jaw(1);
    frame();
    jaw(2);
    const reading = player.readPixels();
    asked[0].done();
    await soon();
    expect(log).toEqual(["pose 1"]);
    asked[1].done();
    await reading;
    expect(log).toEqual(["pose 1", "pose 2", "read 2"]);
  });

  it("says once what went wrong, and can show another avatar", async () => {
    const { player, log, asked, errors, jaw, soon } = stage(true);
    jaw(1);
    frame();
    asked[0].fail(new DeviceError("no memory"));
    await soon();
    jaw(2);
    frame();
    frame();
    expect([errors, log, asked.length]).toEqual([["no memory"], [], 1]);
    await expect(player.readPixels()).rejects.toThrow("no memory");
    player.setAvatar(avatar);
    frame();
    asked[1].done();
    await soon();
    frame();
    expect(log.at(-1)).toMatch(/picture/);
  });

  it("forgets what was being prepared when the avatar or the device goes", async () => {
    const { player, device, log, asked, jaw, soon } = stage(true);
    jaw(1);
    frame();
    player.setAvatar(avatar);
    asked[0].done();
    await soon();
    expect(log).toEqual(["disposed"]);
    frame();
    device.onLost?.();
    asked[1].done();
    await soon();
    // What is not on the card has to be freed: workers, networks.
    expect(log).toEqual(["disposed", "disposed"]);
    device.onRestored?.();
    frame();
    asked[2].done();
    await soon();
    expect(log.at(-1)).toMatch(/pose/);
    player.dispose();
  });
});

describe("a player", () => {
  it("draws when something changed, and not otherwise", () => {
    const { player, log, jaw } = stage(false);
    frame();
    log.length = 0;
    frame();
    expect(log).toEqual([]);
    jaw(1);
    frame();
    expect(log).toEqual(["pose 1", "picture of 1"]);
    player.setBackground([0, 0, 0]);
    frame();
    expect(log.slice(2)).toEqual(["picture of 1"]);
  });

  it("lets no time pass while it sleeps", () => {
    const { player } = stage(false);
    player.setSequence(avatar.clip);
    player.speed = 0.01;
    player.play();
    frame(0.1);
    const { seconds } = player;
    expect(seconds).toBeGreaterThan(0);
    player.sleep();
    frame(5);
    expect(player.seconds).toBe(seconds);
    player.wake();
    player.wake();
    frame(0.1);
    expect(player.seconds - seconds).toBeLessThan(0.01);
    player.dispose();
    frame();
    player.wake();
    expect(frames.length).toBe(0);
  });
});

describe.each([true, false])("a player that draws nothing for a while (needs time: %s)", (slow) => {
  it("lets time pass, tells every pose, and catches up when it is seen again", async () => {
    const { player, log, asked, jaw, soon } = stage(slow);
    const ready = async () => {
      for (const one of asked.splice(0)) one.done();
      await soon();
      frame();
    };
    jaw(1);
    frame();
    await ready();
    player.visible = false;
    log.length = 0;
    const told: number[] = [];
    player.onFrame = () => told.push(player.getPose()!.jaw[0]);
    jaw(2);
    frame();
    frame();
    jaw(3);
    frame();
    await ready();
    expect(log).toEqual([]);
    expect(told[0]).toBe(2);
    expect(told.at(-1)).toBe(3);
    expect(told.length).toBeLessThan(5);
    player.visible = true;
    frame();
    await ready();
    expect(log.at(-1)).toBe("picture of 3");
    expect(player.getPose()!.jaw[0]).toBe(3);
  });

  it("still gives the picture of the moment to who asks for it", async () => {
    const { player, log, asked, jaw, soon } = stage(slow);
    player.visible = false;
    jaw(4);
    frame();
    const reading = player.readPixels();
    for (let i = 0; i < 3; i++) {
      for (const one of asked.splice(0)) one.done();
      await soon();
    }
    await reading;
    expect(log.at(-1)).toBe("read 4");
  });
});

describe("a player whose avatar comes in two parts", () => {
  const clip = avatar.clip ?? readSequence(goldenJson("edge-height.clip.json"), avatar.head);
  const parts = (degree: number): Avatar => {
    const layers = [{ ...avatar.layers[0], degree, dynamics: null }];
    return { ...avatar, layers, clip: null, partial: true };
  };
  const complete = (early: Avatar) => {
    delete early.partial;
    early.clip = clip;
  };

  it("keeps its camera and what is held, and lets the clip take over softly", () => {
    const { player, log, jaw, errors } = stage(false);
    const early = parts(0);
    player.setAvatar(early);
    const camera = { ...player.getCamera()!, fx: 1234 };
    player.setCamera(camera);
    jaw(0.25);
    player.play();
    frame();
    const loads = log.filter((line) => line === "disposed").length;
    complete(early);
    player.setAvatar(early);
    expect(player.getCamera()).toBe(camera);
    expect(player.sequence).not.toBeNull();
    expect(player.isPlaying).toBe(true);
    frame();
    expect(player.getPose()!.jaw[0]).toBe(0.25);
    // Nothing of it is drawn otherwise now, so what is on the card stays there.
    expect(log.filter((line) => line === "disposed").length).toBe(loads);
    expect(errors).toEqual([]);
    // From then on it is an avatar like any other: shown again, it starts again.
    player.setAvatar(early);
    expect(player.getCamera()!.fx).not.toBe(1234);
    player.dispose();
  });

  it("does not take another clip away, and may be lost meanwhile", () => {
    const { player, device, errors, log } = stage(false);
    const early = parts(1);
    player.setAvatar(early);
    const own = fitted(clip, avatar.head);
    player.setSequence(own);
    device.onLost!();
    complete(early);
    player.setAvatar(early);
    expect(player.sequence).toBe(own);
    const before = log.length;
    device.onRestored!();
    frame();
    expect(log.length).toBeGreaterThan(before);
    expect(errors).toHaveLength(1);
    player.dispose();
  });

  it("tells what a device that came back refuses", () => {
    const { player, device, errors } = stage(false);
    device.onLost!();
    device.load = () => {
      throw new DeviceError("It is smaller now.");
    };
    expect(() => device.onRestored!()).not.toThrow();
    frame();
    expect(errors.at(-1)).toBe("It is smaller now.");
    player.dispose();
  });
});
