/** Orbit, pan and zoom with mouse, touch and keyboard, starting from any camera. */
import { lookAt, type PinholeCamera, type Point, positionOf } from "./camera.ts";

const NEAREST = 0.08;
const FARTHEST = 20;
const STEEPEST = 1.5;
/** Milliseconds that going to another camera takes. */
const WAY = 350;

/** Where it stands: what it turns about, from where, and through which lens. */
interface Stand {
  target: Point;
  yaw: number;
  pitch: number;
  distance: number;
  lens: PinholeCamera;
}

export class Orbit {
  private home: PinholeCamera | null = null;
  private center: Point = [0, 0, 0];
  private at: Stand | null = null;
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private readonly stop = new AbortController();
  private going = 0;

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
    this.center = center;
    this.go(camera);
  }

  /** Stand at another camera; `reset` still goes back to where it started. `softly`: by way of those in between. */
  go(camera: PinholeCamera, softly = false): void {
    cancelAnimationFrame(this.going);
    const from = this.at;
    const to = this.standOf(camera);
    this.at = to;
    if (!softly || !from) {
      this.show(camera);
      return;
    }
    const began = performance.now();
    // The shorter way around.
    const turn = Math.atan2(Math.sin(to.yaw - from.yaw), Math.cos(to.yaw - from.yaw));
    const step = (now: number) => {
      const t = Math.min(Math.max((now - began) / WAY, 0), 1);
      const f = 1 - (1 - t) ** 3;
      const mix = (a: number, b: number) => a + f * (b - a);
      if (t >= 1) {
        this.show(camera);
        return;
      }
      const { lens } = to;
      const [high, low] = [from.lens.fy / from.lens.height, lens.fy / lens.height];
      const zoom = (high * (low / high) ** f) / low;
      this.show(
        cameraOf({
          target: from.target.map((x, c) => mix(x, to.target[c])) as Point,
          yaw: from.yaw + f * turn,
          pitch: mix(from.pitch, to.pitch),
          distance: from.distance * (to.distance / from.distance) ** f,
          lens: { ...lens, fx: lens.fx * zoom, fy: lens.fy * zoom },
        }),
      );
      this.going = requestAnimationFrame(step);
    };
    this.going = requestAnimationFrame(step);
  }

  /** What it turns about. */
  get target(): Point {
    return this.at?.target ?? this.center;
  }

  private standOf(camera: PinholeCamera): Stand {
    const { center } = this;
    const eye = positionOf(camera);
    const z = camera.rotation.subarray(6, 9);
    const along = (center[0] - eye[0]) * z[0] + (center[1] - eye[1]) * z[1] + (center[2] - eye[2]) * z[2];
    const distance = along > NEAREST ? along : 1;
    return {
      target: [eye[0] + z[0] * distance, eye[1] + z[1] * distance, eye[2] + z[2] * distance],
      yaw: Math.atan2(-z[0], -z[2]),
      pitch: Math.asin(Math.max(-1, Math.min(1, -z[1]))),
      distance,
      lens: camera,
    };
  }

  /** Go back to where it started. */
  reset(softly = false): void {
    if (this.home) this.go(this.home, softly);
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
    if (!this.at) return;
    this.at.yaw += yaw;
    this.at.pitch = Math.max(-STEEPEST, Math.min(STEEPEST, this.at.pitch + pitch));
    this.move();
  }

  private zoom(factor: number): void {
    if (!this.at) return;
    this.at.distance = Math.max(NEAREST, Math.min(FARTHEST, this.at.distance * factor));
    this.move();
  }

  private pan(dx: number, dy: number): void {
    const { at } = this;
    if (!at) return;
    // One pixel on the page moves the target by what one pixel shows at its distance.
    const size = (at.distance * at.lens.height) / (at.lens.fy * Math.max(1, this.canvas.clientHeight));
    const right: Point = [Math.cos(at.yaw), 0, -Math.sin(at.yaw)];
    const sp = Math.sin(at.pitch);
    const up: Point = [-Math.sin(at.yaw) * sp, Math.cos(at.pitch), -Math.cos(at.yaw) * sp];
    for (let c = 0; c < 3; c++) at.target[c] += size * (up[c] * dy - right[c] * dx);
    this.move();
  }

  private move(): void {
    cancelAnimationFrame(this.going);
    if (this.at) this.show(cameraOf(this.at));
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
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
    cancelAnimationFrame(this.going);
    this.stop.abort();
  }
}

function cameraOf({ target, yaw, pitch, distance, lens }: Stand): PinholeCamera {
  const flat = Math.cos(pitch) * distance;
  const eye: Point = [
    target[0] + Math.sin(yaw) * flat,
    target[1] + Math.sin(pitch) * distance,
    target[2] + Math.cos(yaw) * flat,
  ];
  const fov = 2 * Math.atan(lens.height / (2 * lens.fy));
  const camera = lookAt(eye, target, fov, lens.width, lens.height);
  return { ...camera, fx: lens.fx, fy: lens.fy, cx: lens.cx, cy: lens.cy };
}
