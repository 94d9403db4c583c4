/** Painting Gaussians by an image on the head's UV layout. */
import { describe, expect, it } from "vitest";
import { imageSize } from "../src/avatar/image_size.ts";
import { AvatarFormatError } from "../src/errors.ts";
import { findTexture, paintGaussians, textureSize, texturesOf, uvsOf } from "../src/painting.ts";
import { goldenAvatar } from "./files.ts";

const SH_C0 = 0.28209479177387814;

/** Red is u, green v: what a texel's centre says of itself. */
function ramp(size: number) {
  const data = new Float64Array(4 * size * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++)
      data.set([(255 * (x + 0.5)) / size, (255 * (y + 0.5)) / size, 51, 255], 4 * (y * size + x));
  }
  return { width: size, height: size, data };
}

describe.each(["edge-height", "vertex-index-surface"])("%s", (name) => {
  const avatar = goldenAvatar(`${name}.glb`);
  const [layer] = avatar.layers;
  const uvs = uvsOf(avatar.head, layer)!;

  it("has each Gaussian at a place of the layout", () => {
    expect(uvs.length).toBe(2 * layer.count);
    expect(new Set(uvs).size).toBeGreaterThan(10);
    expect(uvs.every((x) => x >= 0 && x <= 1)).toBe(true);
  });

  it("takes the colour and the opacity of that place, and gives them back", () => {
    const [sh, opacities] = [layer.sh.slice(), layer.opacities.slice()];
    const stride = 3 * (layer.degree + 1) ** 2;
    paintGaussians(avatar.head, layer, "color", ramp(64));
    paintGaussians(avatar.head, layer, "opacity", ramp(64));
    const inside = (x: number) => Math.min(Math.max(x, 0.5 / 64), 1 - 0.5 / 64);
    for (let i = 0; i < layer.count; i++) {
      const [u, v] = [inside(uvs[2 * i]), inside(uvs[2 * i + 1])];
      const color = [0, 1, 2].map((c) => 0.5 + SH_C0 * layer.sh[i * stride + c]);
      expect(color[0]).toBeCloseTo(u, 5);
      expect(color[1]).toBeCloseTo(v, 5);
      expect(color[2]).toBeCloseTo(0.2, 5);
      expect(layer.opacities[i]).toBeCloseTo(u, 5);
      // Harmonics of higher degrees stay.
      expect(layer.sh.slice(i * stride + 3, (i + 1) * stride)).toEqual(sh.slice(i * stride + 3, (i + 1) * stride));
    }
    paintGaussians(avatar.head, layer, "color", null);
    paintGaussians(avatar.head, layer, "opacity", null);
    expect(layer.sh).toEqual(sh);
    expect(layer.opacities).toEqual(opacities);
  });
});

describe("what has no place on the layout", () => {
  it("says so", () => {
    const avatar = goldenAvatar("own-skin.glb");
    expect(uvsOf(avatar.head, avatar.layers[0])).toBeNull();
    expect(() => paintGaussians(avatar.head, avatar.layers[0], "color", ramp(4))).toThrow(AvatarFormatError);
  });
});

describe("textures of mesh layers", () => {
  const avatar = goldenAvatar("../layers/shells.plain.glb");

  it("have names that lead to them", () => {
    const [albedo, ...names] = texturesOf(avatar);
    expect(albedo).toBe("albedo");
    expect(textureSize(avatar, albedo)[0]).toBeGreaterThan(3);
    expect(names.length).toBeGreaterThan(8);
    for (const name of names) {
      const { mesh, sampler, image } = findTexture(avatar, name);
      expect(imageSize(image)).toEqual(textureSize(avatar, name));
      expect(name.startsWith(mesh.name)).toBe(true);
      expect(["bases", "features", "shade"]).toContain(sampler);
    }
    // The inner layer is opaque: it has no alpha.
    expect(names.filter((name) => name.endsWith("/alpha"))).toHaveLength(1);
    expect(() => findTexture(avatar, "hat")).toThrow(/hat/);
  });

  it("tell their size before they are decoded", () => {
    for (const name of ["../layers/shells.plain.glb", "../layers/shells.small.glb"]) {
      for (const { shading } of goldenAvatar(name).meshes) {
        const images = [...shading!.bases, ...shading!.features, ...(shading!.alpha ? [shading!.alpha] : [])];
        for (const image of images) expect(imageSize(image)).toEqual(imageSize(images[0]));
        expect(imageSize(images[0])[0]).toBeGreaterThan(3);
      }
    }
    const bytes = new Uint8Array(40);
    expect(() => imageSize({ bytes, type: "image/webp" })).toThrow(AvatarFormatError);
    expect(() => imageSize({ bytes: bytes.slice(0, 3), type: "image/png" })).toThrow(AvatarFormatError);
  });
});
