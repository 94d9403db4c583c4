/** Maps that Gaussians make, and the brush on them. */
import { describe, expect, it } from "vitest";
import { cover, line, touchGaussians, touchPixels } from "../../src/page/brush.ts";
import { mapNamed, mapsOf } from "../../src/page/edited_map.ts";
import { mapOf } from "../../src/page/map_pixels.ts";
import { paintGaussians, uvsOf } from "../../src/painting.ts";
import { goldenAvatar } from "../files.ts";

const RED: [number, number, number] = [1, 0, 0];
const touch = { u: 0.5, v: 0.5, radius: 0.2, strength: 1, rgb: RED };

function picture(width: number, height: number): ImageData {
  return { width, height, data: new Uint8ClampedArray(4 * width * height) } as unknown as ImageData;
}

describe("a brush", () => {
  it("covers its core wholly, and nothing beyond its rim", () => {
    expect(cover(0)).toBe(1);
    expect(cover(0.5)).toBe(1);
    expect(cover(0.75)).toBeCloseTo(0.5, 12);
    expect(cover(1)).toBe(0);
    expect(cover(3)).toBe(0);
  });

  it("is round on a map that is not square", () => {
    const map = picture(100, 50);
    const region = touchPixels(map, touch);
    const red = (x: number, y: number) => map.data[4 * (y * 100 + x)];
    expect(red(50, 25)).toBe(255);
    expect(red(58, 25)).toBe(255);
    expect(red(50, 33)).toBe(255);
    expect(red(71, 25)).toBe(0);
    expect(red(50, 46)).toBe(0);
    expect(region).toEqual({ left: 30, top: 5, right: 70, bottom: 45 });
    // What lies outside of the map does no harm.
    touchPixels(map, { ...touch, u: -0.1, v: 1.4, radius: 0.5 });
  });

  it("draws lines without gaps", () => {
    const touches = line(touch, { ...touch, u: 0.9 });
    expect(touches.at(-1)!.u).toBeCloseTo(0.9, 12);
    touches.forEach(({ u }, i) => {
      expect(u - (touches[i - 1]?.u ?? touch.u)).toBeLessThanOrEqual(0.25 * touch.radius + 1e-9);
    });
    expect(line(touch, touch)).toHaveLength(1);
  });

  it("makes Gaussians in its core its colour from everywhere, and leaves others", () => {
    const avatar = goldenAvatar("edge-height.glb");
    const [layer] = avatar.layers;
    const uvs = uvsOf(avatar.head, layer)!;
    const before = layer.sh.slice();
    const stride = 3 * (layer.degree + 1) ** 2;
    expect(layer.degree).toBeGreaterThan(0);
    const [u, v] = uvs;
    expect(touchGaussians(layer, uvs, "color", { ...touch, u, v }, 1)).toBe(true);
    let inside = 0;
    for (let i = 0; i < layer.count; i++) {
      const distance = Math.hypot(uvs[2 * i] - u, uvs[2 * i + 1] - v) / touch.radius;
      const rows = layer.sh.slice(stride * i, stride * (i + 1));
      if (distance >= 1) expect(rows).toEqual(before.slice(stride * i, stride * (i + 1)));
      if (distance > 0.5) continue;
      inside++;
      expect(0.5 + 0.28209479 * rows[0]).toBeCloseTo(1, 5);
      expect(0.5 + 0.28209479 * rows[1]).toBeCloseTo(0, 5);
      expect(rows.slice(3).every((x) => x === 0)).toBe(true);
    }
    expect(inside).toBeGreaterThan(0);
    paintGaussians(avatar.head, layer, "color", null);
    expect(touchGaussians(layer, uvs, "color", { ...touch, u: 5 }, 1)).toBe(false);
  });
});

describe("the map of Gaussians", () => {
  const avatar = goldenAvatar("edge-height.glb");
  const [layer] = avatar.layers;

  it("is one colour where they are", () => {
    paintGaussians(avatar.head, layer, "color", { width: 1, height: 1, data: [51, 102, 204, 255] });
    const { size, data } = mapOf(avatar, "color")!;
    expect(data).toHaveLength(4 * size * size);
    for (const at of [0, data.length / 2, data.length - 4])
      expect([...data.slice(at, at + 4)]).toEqual([51, 102, 204, 255]);
    paintGaussians(avatar.head, layer, "color", null);
  });

  it("has each Gaussian's own value in its texel, and paints them as they were", () => {
    const { size, data } = mapOf(avatar, "opacity")!;
    const uvs = uvsOf(avatar.head, layer)!;
    const texel = (i: number) => Math.floor(uvs[2 * i + 1] * size) * size + Math.floor(uvs[2 * i] * size);
    const alone = Array.from({ length: layer.count }, (_, i) => i).filter(
      (i, _, all) => !all.some((other) => other !== i && texel(other) === texel(i)),
    );
    expect(alone.length).toBeGreaterThan(10);
    for (const i of alone) expect(Math.abs(data[4 * texel(i)] / 255 - layer.opacities[i])).toBeLessThan(1 / 255);
  });

  it("is none where they have no place", () => {
    expect(mapOf(goldenAvatar("own-skin.glb"), "color")).toBeNull();
  });
});

describe("names of maps", () => {
  it("are found in names of files", () => {
    const avatar = goldenAvatar("edge-height.glb");
    expect(mapsOf(avatar).map(({ id }) => id)).toEqual(["color", "opacity", "albedo"]);
    expect(mapNamed(avatar, "anna-Albedo.PNG")?.id).toBe("albedo");
    expect(mapNamed(avatar, "color.jpg")?.id).toBe("color");
    expect(mapNamed(avatar, "00012.png")).toBeNull();
    expect(mapNamed(avatar, "watercolor.png")).toBeNull();
    const shells = goldenAvatar("../layers/shells.plain.glb");
    expect(mapNamed(shells, "anna-inner-base0.png")?.id).toBe("inner/base0");
  });
});
