/** What a player draws with: `gl/` and `gpu/` hold one each, and make the same pictures. */
import type { Avatar } from "./avatar/avatar.ts";
import type { Pose } from "./posing/pose.ts";

/** A canvas's graphics device. It owns the context, and knows when everything on the card is gone. */
export interface Device {
  readonly kind: "webgl2" | "webgpu";
  /** The card forgot everything: what was loaded is dead. */
  onLost: (() => void) | null;
  /** It can be used again; avatars have to be loaded again. */
  onRestored: (() => void) | null;
  /** Put an avatar on the card; `exact` keeps harmonics and dynamics as 32-bit floats instead of 16-bit ones. */
  load(avatar: Avatar, exact: boolean): AvatarRenderer;
  dispose(): void;
}

/** One avatar on a device. */
export interface AvatarRenderer {
  /** Gaussians beyond the near plane in the last picture. */
  readonly shown: number;
  /** Bytes on the card, without the picture. */
  readonly bytes: number;
  /** Called when the next picture would be another though nothing moved: a depth order made meanwhile has come. */
  onChanged?: (() => void) | null;
  /**
   * Where networks have to run first: run them for this pose, which nobody changes meanwhile. A player calls `pose` with it
   * once that is done, and shows the pose before until then.
   */
  prepare?(pose: Pose): Promise<void>;
  /** Take a new pose; the next pictures show it. */
  pose(pose: Pose): void;
  /** Take changed opacities and colours of a layer of Gaussians. Absent where that cannot be. */
  repaint?(layer: number): void;
  /** Replace an image of a mesh layer, by the name of its sampler and its place; all images keep their size. */
  setTexture?(mesh: number, sampler: string, index: number, picture: ImageBitmap): Promise<void>;
  /** Draw onto the canvas. */
  render(view: View, background: Background): void;
  /** Draw and return the picture, RGBA, rows from the top: the canvas's bytes, or floats of a half-float target. */
  readPixels(view: View, background: Background, half: boolean): Promise<Float32Array | Uint8Array>;
  /** Return the Gaussians as the card has them; slow, for tests. */
  readWorld(view: View): Promise<WorldSplats>;
  dispose(): void;
}

/** Where a picture is seen from. */
export interface View {
  /** World to camera, row-major; x right, y down, z forward. */
  rotation: Float64Array;
  translation: Float64Array;
  eye: [number, number, number];
  /** fx fy cx cy, pixels. */
  intrinsics: [number, number, number, number];
  width: number;
  height: number;
  /** Metres of view depth. */
  near: number;
}

/** Display sRGB, straight. */
export interface Background {
  rgb: [number, number, number];
  alpha: number;
}

/** World-space Gaussians as the card has them, in the layers' order. */
export interface WorldSplats {
  means: Float32Array;
  /** xx, xy, xz, yy, yz, zz. */
  covariances: Float32Array;
  opacities: Float32Array;
  rgb: Float32Array;
}
