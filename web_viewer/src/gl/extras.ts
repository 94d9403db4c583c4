/** What few avatars have: mesh layers under their Gaussians. A chunk of its own. */
import type { Avatar } from "../avatar.ts";
import type { Background, View } from "../device.ts";
import type { PosedAvatar } from "../posed_avatar.ts";
import type { GL } from "./device.ts";
import { MeshPicture } from "./mesh_picture.ts";

export class Extras {
  private constructor(readonly meshes: MeshPicture | null) {}

  static async load(gl: GL, avatar: Avatar, exact: boolean): Promise<Extras> {
    return new Extras(avatar.meshes.length ? await MeshPicture.load(gl, avatar, exact) : null);
  }

  get bytes(): number {
    return this.meshes?.bytes ?? 0;
  }

  pose(posed: PosedAvatar): void {
    this.meshes?.pose(posed);
  }

  /** Fill the framebuffer with what lies under the Gaussians; false when that is the background alone. */
  paint(view: View, background: Background, framebuffer: WebGLFramebuffer | null): boolean {
    this.meshes?.paint(view, background, framebuffer);
    return this.meshes !== null;
  }

  dispose(): void {
    this.meshes?.dispose();
  }
}
