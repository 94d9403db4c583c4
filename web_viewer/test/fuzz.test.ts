/** Damaged avatars of every kind: whatever is changed, the answer is one readable line, or an avatar that can be posed. */
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadAvatar } from "../src/avatar/load.ts";
import { ViewerError } from "../src/errors.ts";
import { Pose } from "../src/posing/pose.ts";
import { PosedAvatar } from "../src/posing/posed_avatar.ts";
import { goldenBytes, withJson } from "./files.ts";

const FOLDERS = ["posing", "small", "layers"];
const NAMES = FOLDERS.flatMap((folder) =>
  readdirSync(new URL(`../../tests/golden/${folder}/`, import.meta.url))
    .filter((name) => name.endsWith(".glb"))
    .map((name) => `../${folder}/${name}`),
);
/** FLAMEPORT_FUZZ=100 tries that many times as much. */
const ROUNDS = 12 * Number(process.env.FLAMEPORT_FUZZ ?? 1);
/** What a number may become. */
const EXTREMES = [-1, 0, 1, 0.5, 3, 255, 65536, 2 ** 24, 2 ** 31, 2 ** 32, 1e15, 1e308, -1e9, null, "x", true, [], {}];
/** Milliseconds: a second a file, though one takes a few; a page must not be made to hang. */
const TIMEOUT = 1000 * ROUNDS + 5000;

/** A small generator of repeatable numbers below 1 (mulberry32). */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Every place in a document: its owner and key. */
// biome-ignore lint/suspicious/noExplicitAny: glTF's JSON
function placesOf(owner: any, out: [any, string | number][] = []): [any, string | number][] {
  for (const key of Object.keys(owner)) {
    out.push([owner, Array.isArray(owner) ? Number(key) : key]);
    if (owner[key] !== null && typeof owner[key] === "object") placesOf(owner[key], out);
  }
  return out;
}

async function survives(bytes: ArrayBuffer, what: string): Promise<void> {
  try {
    const avatar = await loadAvatar(bytes);
    if (avatar.networks.size === 0) new PosedAvatar(avatar).pose(new Pose(avatar.head));
  } catch (error) {
    if (!(error instanceof ViewerError)) throw new Error(`${what}: ${error instanceof Error ? error.stack : error}`);
    expect(error.message, what).not.toMatch(/allocation|array length|call stack/i);
    expect(error.message, what).not.toContain("\n");
  }
}

describe.each(NAMES)("%s", (name) => {
  const good = goldenBytes(name);
  const roll = dice(NAMES.indexOf(name) + 1);
  const below = (n: number) => Math.floor(roll() * n);

  it("with changed JSON", { timeout: TIMEOUT }, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      let what = "";
      const bytes = withJson(good, (json) => {
        const places = placesOf(json);
        for (let changes = 1 + below(2); changes > 0; changes--) {
          const [owner, key] = places[below(places.length)];
          const value = EXTREMES[below(EXTREMES.length)];
          what += `${key}=${JSON.stringify(owner[key])?.slice(0, 40)} to ${JSON.stringify(value)}; `;
          if (roll() < 0.15) delete owner[key];
          else owner[key] = value;
        }
      });
      await survives(bytes, what);
    }
  });

  it("with changed bytes", { timeout: TIMEOUT }, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = round % 3 ? good.slice(0) : good.slice(0, below(good.byteLength));
      const view = new Uint8Array(bytes);
      const at = Array.from({ length: 1 + below(8) }, () => below(view.length));
      for (const i of at) view[i] = below(256);
      await survives(bytes, `bytes ${at}, length ${bytes.byteLength}`);
    }
  });
});
