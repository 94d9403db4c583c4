/** Orbit, pan and zoom with mouse, touch and keyboard, starting from any camera. */
import { lookAt, type PinholeCamera, type Point, positionOf } from "./camera.ts";

const NEAREST = 0.08;
const FARTHEST = 20;
const STEEPEST = 1.5;

export class Orbit {
  private home: PinholeCamera | null = null;
  private center: Point = [0, 0, 0];
  private target: Point = [0, 0, 0];
  private yaw = 0;
  private pitch = 0;
  private distance = 1;
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private readonly stop = new AbortController();

  constructor(
    private readonly canvas: HTMLCanvasElement,
    /** Called with each new camera. */
    private readonly show: (camera: PinholeCamera) => void,
  ) {
    const { signal } = this.stop;
    const on = <K extends keyof HTMLElementEventMap>(name: K, act: (event: HTMLElementEventMap[K]) => void) =>
      canvas.addEventListener(name, act, { signal, passive: false });
    on("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });
    on("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"] as const)
      on(name, (event) => this.pointers.delete(event.pointerId));
    on("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)))));
    });
    on("dblclick", () => this.reset());
    on("contextmenu", (event) => event.preventDefault());
    on("keydown", (event) => this.key(event));
  }

  /** Start from a camera; it turns about the point in front of it that is nearest to `center`. */
  start(camera: PinholeCamera, center: Point): void {
    this.home = camera;
    const eye = positionOf(camera);
    const z = camera.rotation.subarray(6, 9);
    const along = (center[0] - eye[0]) * z[0] + (center[1] - eye[1]) * z[1] + (center[2] - eye[2]) * z[2];
    this.distance = along > NEAREST ? along : 1;
    this.target = [eye[0] + z[0] * this.distance, eye[1] + z[1] * this.distance, eye[2] + z[2] * this.distance];
    this.yaw = Math.atan2(-z[0], -z[2]);
    this.pitch = Math.asin(Math.max(-1, Math.min(1, -z[1])));
    this.center = center;
    this.show(camera);
  }

  /** Go back to where it started. */
  reset(): void {
    if (this.home) this.start(this.home, this.center);
  }

  private drag(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before.x;
    const dy = event.clientY - before.y;
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (others.length) {
      const [other] = others;
      const was = Math.hypot(before.x - other.x, before.y - other.y);
      const is = Math.hypot(event.clientX - other.x, event.clientY - other.y);
      this.pan(dx / 2, dy / 2);
      this.zoom(was / Math.max(is, 1));
    } else if (event.shiftKey || event.buttons & 6) {
      this.pan(dx, dy);
    } else {
      this.turn(-dx * 0.006, dy * 0.006);
    }
  }

  private turn(yaw: number, pitch: number): void {
    this.yaw += yaw;
    this.pitch = Math.max(-STEEPEST, Math.min(STEEPEST, this.pitch + pitch));
    this.move();
  }

  private zoom(factor: number): void {
    this.distance = Math.max(NEAREST, Math.min(FARTHEST, this.distance * factor));
    this.move();
  }

  private pan(dx: number, dy: number): void {
    if (!this.home) return;
    // One pixel on the page moves the target by what one pixel shows at its distance.
    const size = (this.distance * this.home.height) / (this.home.fy * Math.max(1, this.canvas.clientHeight));
    const right: Point = [Math.cos(this.yaw), 0, -Math.sin(this.yaw)];
    const sp = Math.sin(this.pitch);
    const up: Point = [-Math.sin(this.yaw) * sp, Math.cos(this.pitch), -Math.cos(this.yaw) * sp];
    for (let c = 0; c < 3; c++) this.target[c] += size * (up[c] * dy - right[c] * dx);
    this.move();
  }

  private move(): void {
    const { home, target, yaw, pitch, distance } = this;
    if (!home) return;
    const flat = Math.cos(pitch) * distance;
    const eye: Point = [
      target[0] + Math.sin(yaw) * flat,
      target[1] + Math.sin(pitch) * distance,
      target[2] + Math.cos(yaw) * flat,
    ];
    const fov = 2 * Math.atan(home.height / (2 * home.fy));
    const camera = lookAt(eye, target, fov, home.width, home.height);
    this.show({ ...camera, fx: home.fx, cx: home.cx, cy: home.cy });
  }

  private key(event: KeyboardEvent): void {
    const acts: Record<string, () => void> = {
      ArrowLeft: () => this.turn(-0.08, 0),
      ArrowRight: () => this.turn(0.08, 0),
      ArrowUp: () => this.turn(0, 0.08),
      ArrowDown: () => this.turn(0, -0.08),
      "+": () => this.zoom(0.9),
      "=": () => this.zoom(0.9),
      "-": () => this.zoom(1 / 0.9),
      "0": () => this.reset(),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  dispose(): void {
    this.stop.abort();
  }
}
