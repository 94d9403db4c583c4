/** What few avatars have: mesh layers under their Gaussians, or an image decoder. A chunk of its own. */
import type { Avatar } from "../avatar/avatar.ts";
import type { Background, View } from "../device.ts";
import type { PosedAvatar } from "../posing/posed_avatar.ts";
import { DecodedPicture, type EllipseSource } from "./decoded_picture.ts";
import type { GL } from "./device.ts";
import { MeshPicture } from "./mesh_picture.ts";

export class Extras {
  private constructor(
    readonly meshes: MeshPicture | null,
    /** Makes the picture in the place of everything else. */
    readonly decoded: DecodedPicture | null,
  ) {}

  /** Put them on the card; `source` draws the Gaussians for a decoder. */
  static async load(gl: GL, avatar: Avatar, exact: boolean, source: EllipseSource): Promise<Extras> {
    if (!avatar.decoder) return new Extras(await MeshPicture.load(gl, avatar, exact), null);
    const decoded = new DecodedPicture(gl, avatar, source);
    try {
      await decoded.getReady();
    } catch (error) {
      decoded.dispose();
      throw error;
    }
    return new Extras(null, decoded);
  }

  get bytes(): number {
    return (this.meshes?.bytes ?? 0) + (this.decoded?.bytes ?? 0);
  }

  /** Replace an image of a mesh layer. */
  async paintTexture(mesh: number, sampler: string, index: number, picture: ImageBitmap): Promise<void> {
    await this.meshes?.layers[mesh].paint(sampler, index, picture);
  }

  pose(posed: PosedAvatar): void {
    this.meshes?.pose(posed);
    this.decoded?.pose();
  }

  /** Fill the framebuffer with what lies under the Gaussians; false when that is the background alone. */
  fill(view: View, background: Background, framebuffer: WebGLFramebuffer | null): boolean {
    this.meshes?.paint(view, background, framebuffer);
    return this.meshes !== null;
  }

  dispose(): void {
    this.meshes?.dispose();
    this.decoded?.dispose();
  }
}
