/**
 * Avatars in a three.js scene:
 *
 *     const avatar = await FlameAvatar.load(renderer, "anna.glb");
 *     scene.add(avatar);
 *     avatar.actor.play();
 *
 * It stands in the scene as any object does, moved, turned and scaled (alike in x, y and z), in metres. It shares the scene's
 * depth: opaque things nearer than a Gaussian hide it, and it is drawn over what is farther. It writes no depth itself, is drawn
 * with the transparent objects, and casts no light or shadow. Its colours are display sRGB as trained: right on the canvas with
 * three's default `outputColorSpace`, without tone mapping. Perspective cameras only.
 */

import type { WebGLRenderer } from "three";
import { BufferGeometry, type Camera, Matrix4, Mesh, MeshBasicMaterial, Sphere, Vector3, Vector4 } from "three";
import type { Avatar } from "./avatar/avatar.ts";
import { type LoadOptions, loadAvatar } from "./avatar/load.ts";
import type { View } from "./device.ts";
import { Actor } from "./driving/actor.ts";
import { DeviceError } from "./errors.ts";
import { wholly } from "./gl/device.ts";
import type { ClipDepths } from "./gl/guest.ts";
import { GuestRenderer } from "./gl/guest.ts";
import { Pose } from "./posing/pose.ts";

export { loadAvatar } from "./avatar/load.ts";
export * from "./index.ts";

export interface FlameAvatarOptions {
  /** Keep harmonics and dynamics as 32-bit floats on the card instead of 16-bit ones. */
  exact?: boolean;
  /** Seconds, to play by; absent, time passes as on the page. */
  clock?: () => number;
  /** Called when something goes wrong later. */
  onError?: (error: Error) => void;
}

/** How much an object's axes may differ in length. */
const EVEN = 1e-4;

export class FlameAvatar extends Mesh<BufferGeometry, MeshBasicMaterial> {
  /** What it does: clips, drivers, expressions. */
  readonly actor: Actor;
  private painter: GuestRenderer | null;
  private preparing: Promise<void> | null = null;
  private posed = false;
  private failure: Error | null = null;
  private readonly onError: (error: Error) => void;
  private readonly nextPose: Pose;
  private readonly viewport = new Vector4();
  private readonly modelView = new Matrix4();

  /** Load an avatar for a renderer. Throws `ViewerError`. */
  static async load(
    renderer: WebGLRenderer,
    source: string | ArrayBuffer | Blob,
    options: FlameAvatarOptions & LoadOptions = {},
  ): Promise<FlameAvatar> {
    return new FlameAvatar(renderer, await loadAvatar(source, options), options);
  }

  constructor(
    private readonly renderer: WebGLRenderer,
    readonly avatar: Avatar,
    options: FlameAvatarOptions = {},
  ) {
    // Nothing of its own to draw: three only has to call, among the transparent objects and sorted as one of them.
    super(new BufferGeometry(), new MeshBasicMaterial({ transparent: true, depthWrite: false }));
    const gl = renderer.getContext();
    if (!(gl instanceof WebGL2RenderingContext)) throw new DeviceError("FlameAvatar needs a WebGLRenderer on WebGL2.");
    if (avatar.decoder) {
      throw new DeviceError(
        `“${avatar.name}” has an image decoder, which paints the background too; show it with a Player.`,
      );
    }
    this.name = avatar.name;
    this.onError = options.onError ?? (() => {});
    this.actor = new Actor(options.clock ?? null);
    this.actor.cast(avatar);
    this.nextPose = new Pose(avatar.head);
    this.painter = wholly(() => new GuestRenderer(gl, avatar, options.exact ?? false));
    renderer.resetState();
    // For ray casting and for helpers; the head moves within twice its size.
    this.geometry.boundingSphere = sphereOf(avatar);
    this.frustumCulled = false;
    this.onAfterRender = (_, __, camera) => this.paint(camera);
  }

  /** Gaussians beyond the near plane in the last picture. */
  get shown(): number {
    return this.painter?.shown ?? 0;
  }

  private paint(camera: Camera): void {
    const { painter, renderer } = this;
    if (!painter || this.failure) return;
    const target = renderer.getRenderTarget();
    renderer.getCurrentViewport(this.viewport);
    const [face, level] = [renderer.getActiveCubeFace(), renderer.getActiveMipmapLevel()];
    try {
      this.update(painter);
      if (this.posed) {
        const { view, clip } = this.seenFrom(camera);
        painter.paintInto(view, clip, {
          x: this.viewport.x,
          y: this.viewport.y,
          width: this.viewport.z,
          height: this.viewport.w,
        });
      }
    } catch (error) {
      this.fail(error as Error);
    }
    // Three remembers what it bound; now it looks again, and goes on drawing where it was.
    renderer.resetState();
    renderer.setRenderTarget(target, face, level);
    renderer.getContext().viewport(this.viewport.x, this.viewport.y, this.viewport.z, this.viewport.w);
  }

  private update(painter: GuestRenderer): void {
    const { actor } = this;
    actor.advance();
    if (!actor.isStale || this.preparing) return;
    const pose = actor.act()!;
    if (!painter.prepare) {
      painter.pose(pose);
      this.posed = true;
      return;
    }
    this.nextPose.copy(pose);
    this.preparing = painter.prepare(this.nextPose).then(
      () => {
        this.preparing = null;
        if (this.painter !== painter) return;
        painter.pose(this.nextPose);
        this.renderer.resetState();
        this.posed = true;
      },
      (error) => this.fail(error as Error),
    );
  }

  /** Settles when the pose of this moment is what the next picture shows; networks may have to run for it. */
  async ready(): Promise<void> {
    for (let i = 0; i < 2 && this.painter; i++) {
      this.update(this.painter);
      await this.preparing;
    }
    this.renderer.resetState();
    if (this.failure) throw this.failure;
  }

  /** Three's camera in the avatar's own metres. */
  private seenFrom(camera: Camera): { view: View; clip: ClipDepths } {
    const p = camera.projectionMatrix.elements;
    if (p[11] !== -1 || p[15] !== 0) throw new DeviceError("FlameAvatar is seen by perspective cameras only.");
    if (this.renderer.capabilities.reversedDepthBuffer || this.renderer.capabilities.logarithmicDepthBuffer) {
      throw new DeviceError("FlameAvatar needs the usual depth buffer, neither reversed nor logarithmic.");
    }
    const m = this.modelView.multiplyMatrices(camera.matrixWorldInverse, this.matrixWorld).elements;
    const lengths = [0, 4, 8].map((o) => Math.hypot(m[o], m[o + 1], m[o + 2]));
    const scale = (lengths[0] + lengths[1] + lengths[2]) / 3;
    if (
      !(scale > 0) ||
      lengths.some((length) => Math.abs(length - scale) > EVEN * scale) ||
      this.modelView.determinant() < 0
    ) {
      throw new DeviceError("FlameAvatar must be scaled alike in x, y and z, and not mirrored.");
    }
    const rotation = new Float64Array(9);
    const translation = new Float64Array(3);
    for (let r = 0; r < 3; r++) {
      // Three's y is up and z towards the viewer; ours are down and away.
      const sign = r ? -1 : 1;
      for (let c = 0; c < 3; c++) rotation[3 * r + c] = (sign * m[4 * c + r]) / scale;
      translation[r] = (sign * m[12 + r]) / scale;
    }
    const [width, height] = [this.viewport.z, this.viewport.w];
    const eye = [0, 1, 2].map(
      (c) => -(rotation[c] * translation[0] + rotation[3 + c] * translation[1] + rotation[6 + c] * translation[2]),
    ) as [number, number, number];
    const near = p[14] / (p[10] - 1) / scale;
    const far = p[14] / (p[10] + 1) / scale;
    return {
      view: {
        rotation,
        translation,
        eye,
        intrinsics: [(p[0] * width) / 2, (p[5] * height) / 2, ((1 - p[8]) * width) / 2, ((1 + p[9]) * height) / 2],
        width,
        height,
        near,
      },
      clip: { near, far },
    };
  }

  private fail(error: Error): void {
    this.failure = error;
    this.onError(error);
  }

  /** Free everything on the card; take it out of the scene first. */
  override dispose(): void {
    this.actor.retire();
    this.painter?.dispose();
    this.painter = null;
    this.geometry.dispose();
    this.material.dispose();
    this.renderer.resetState();
  }
}

function sphereOf({ head }: Avatar): Sphere {
  const points = Array.from({ length: head.vertexCount }, (_, v) => new Vector3().fromArray(head.template, 3 * v));
  return new Sphere().setFromPoints(points);
}
