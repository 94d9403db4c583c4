/** A second player that nobody sees: pictures of any size, camera and background of the avatar that the page shows. */
import type { Avatar } from "../avatar/avatar.ts";
import type { PinholeCamera } from "../camera/camera.ts";
import { element } from "../elements.ts";
import { Player } from "../player.ts";
import type { Pose } from "../posing/pose.ts";

export interface Shot {
  width: number;
  height: number;
  camera: PinholeCamera;
  /** Display sRGB; null: transparent. */
  background: [number, number, number] | null;
  /** What is shown, whatever a clip says. */
  pose: Pose;
}

export class Darkroom {
  readonly canvas = element("canvas", { width: 1, height: 1 });
  private readonly player: Player;
  private pose: Pose | null = null;
  private failure: Error | null = null;

  constructor(avatar: Avatar, near: number) {
    this.player = new Player(this.canvas, {
      near,
      clock: () => 0,
      onError: (error) => {
        this.failure = error;
      },
    });
    this.player.sleep();
    this.player.setAvatar(avatar);
    this.player.addDriver((pose) => {
      if (this.pose) pose.copy(this.pose);
      return true;
    });
  }

  /** Draw and return RGBA bytes, rows from the top, colours multiplied by alpha. */
  async take({ width, height, camera, background, pose }: Shot): Promise<Uint8ClampedArray<ArrayBuffer>> {
    const { player, canvas } = this;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    this.pose = pose;
    player.setBackground(background);
    player.setCamera(camera);
    // Asks for a new pose: the driver gives the one above.
    player.resetPose();
    const bytes = await player.readPixels();
    if (this.failure) throw this.failure;
    return new Uint8ClampedArray(bytes);
  }

  dispose(): void {
    this.player.dispose();
    // Browsers allow few contexts.
    this.canvas.getContext("webgl2")?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
