/** The picture of the head's mesh over the splats' own: a canvas with a context of its own, drawn when the player draws. */
import type { Avatar } from "../avatar/avatar.ts";
import { fitCamera, positionOf } from "../camera/camera.ts";
import { DeviceError } from "../errors.ts";
import { HeadMesh, type Look } from "../gl/head_mesh.ts";
import type { Player } from "../player.ts";

export class MeshView {
  private readonly gl: WebGL2RenderingContext;
  private mesh: HeadMesh | null = null;
  private of: Avatar | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly player: Player,
    private readonly near: number,
  ) {
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: true, premultipliedAlpha: true, depth: true });
    if (!gl) throw new DeviceError("This browser has no graphics context left for the mesh.");
    this.gl = gl;
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.of = null;
    });
  }

  /** Take the player's avatar, where it is another one. Tells whether the head is painted. */
  async follow(): Promise<boolean> {
    const { avatar } = this.player;
    if (avatar && avatar !== this.of) {
      this.of = avatar;
      const mesh = await HeadMesh.load(this.gl, avatar);
      if (this.of !== avatar) mesh.dispose();
      else {
        this.mesh?.dispose();
        this.mesh = mesh;
      }
    }
    return this.mesh?.isPainted ?? false;
  }

  draw(look: Look): void {
    const { canvas, player, mesh, gl } = this;
    const from = player.getCamera();
    const pose = player.getPose();
    if (!mesh || !from || !pose || this.of !== player.avatar || gl.isContextLost()) return;
    const { width, height } = player.canvas;
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const camera = fitCamera(from, width, height);
    const { rotation, translation, fx, fy, cx, cy } = camera;
    const view = {
      rotation,
      translation,
      eye: positionOf(camera),
      intrinsics: [fx, fy, cx, cy] as [number, number, number, number],
      width,
      height,
      near: this.near,
    };
    mesh.draw(pose, view, look);
  }

  clear(): void {
    this.gl.clearColor(0, 0, 0, 0);
    this.gl.clear(this.gl.COLOR_BUFFER_BIT);
  }
}
