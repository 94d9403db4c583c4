/** Looking at a point in space, or at the pointer: the eyes at once, the head after them. */
import type { Head } from "../avatar/avatar.ts";
import { type PinholeCamera, type Point, positionOf } from "../camera/camera.ts";
import { HeadPoser } from "../posing/head.ts";
import type { Pose } from "../posing/pose.ts";
import { turnFurther } from "./blend.ts";
import type { Driver, Moment } from "./driver.ts";
import { hasEyeJoints, SIDES, turnEyes } from "./eyes.ts";

export interface GazeOptions {
  /** How much of the turn the head takes over, 0..1. */
  head?: number;
  /** Seconds in which eyes and head come two thirds of the way. */
  eyeTime?: number;
  headTime?: number;
}

/** Radians that eyes turn at most, and the head. */
const EYES_SIDE = 0.6;
const EYES_UP_DOWN = 0.45;
const HEAD_MOST = 0.5;
const STILL = 1e-4;

/** Lets the avatar look at `target`; without one, the clip has its eyes back. */
export class Gaze implements Driver {
  /** Where the eyes are, between the two; metres, world. */
  center: Point = [0, 0, 0];
  private target: Point | null = null;
  private readonly options: Required<GazeOptions>;
  /** How much of the gaze is shown: it comes and goes softly. */
  private share = 0;
  private yaw = 0;
  private pitch = 0;
  private headYaw = 0;
  private headPitch = 0;
  private last: number | null = null;
  private poser: HeadPoser | null = null;
  private places: [Point, Point] | null = null;
  private wake: () => void = () => {};

  constructor(options: GazeOptions = {}) {
    this.options = { head: 0.35, eyeTime: 0.06, headTime: 0.35, ...options };
  }

  attach(wake: () => void): void {
    this.wake = wake;
  }

  /** Look at a point in the avatar's world, metres; null: at nothing in particular. */
  lookAt(target: ArrayLike<number> | null): void {
    this.target = target && [target[0], target[1], target[2]];
    this.wake();
  }

  drive(pose: Pose, { seconds }: Moment): boolean {
    const { head } = pose;
    if (this.poser?.head !== head) {
      this.poser = new HeadPoser(head);
      this.places = eyePlaces(head);
      this.last = null;
    }
    const gone = this.last === null ? Number.POSITIVE_INFINITY : Math.max(0, seconds - this.last);
    this.last = seconds;
    const { eyeTime, headTime } = this.options;
    let moving = false;
    const follow = (now: number, wanted: number, time: number) => {
      const next = Math.abs(wanted - now) < STILL ? wanted : now + (wanted - now) * (1 - Math.exp(-gone / time));
      moving ||= next !== wanted;
      return next;
    };
    this.share = follow(this.share, this.target ? 1 : 0, headTime);
    if (this.target) {
      const [yaw, pitch] = this.angles(pose, this.target);
      this.headYaw = follow(this.headYaw, limit(yaw * this.options.head, HEAD_MOST), headTime);
      this.headPitch = follow(this.headPitch, limit(pitch * this.options.head, HEAD_MOST), headTime);
    }
    if (this.share === 0) return false;
    const neck = head.roles.neck === undefined ? pose.rotation : pose.neck;
    turnFurther(neck, 0, [this.headPitch * this.share, this.headYaw * this.share, 0]);
    if (this.target) {
      // What the head has not turned yet is left to the eyes.
      const [yaw, pitch] = this.angles(pose, this.target);
      this.yaw = follow(this.yaw, limit(yaw, EYES_SIDE), eyeTime);
      this.pitch = follow(this.pitch, limit(pitch, EYES_UP_DOWN), eyeTime);
    }
    turnEyes(pose, this.yaw, this.pitch, this.share);
    return moving;
  }

  /** Return how far to the avatar's left and how far down the target is, from straight ahead, radians. */
  private angles(pose: Pose, target: Point): [number, number] {
    const poser = this.poser!;
    poser.drive(pose);
    const { roles } = pose.head;
    const o = 12 * (roles.neck ?? roles.root ?? 0);
    const m = poser.matrices;
    const sum: Point = [0, 0, 0];
    for (const place of this.places!) {
      for (let r = 0; r < 3; r++) {
        const row = o + 4 * r;
        sum[r] += (m[row] * place[0] + m[row + 1] * place[1] + m[row + 2] * place[2] + m[row + 3]) / 2;
      }
    }
    this.center = sum;
    const d = target.map((value, c) => value - sum[c]);
    const [x, y, z] = [0, 1, 2].map((c) => m[o + c] * d[0] + m[o + 4 + c] * d[1] + m[o + 8 + c] * d[2]);
    // The axis square to straight ahead: the angle, shared out between its two parts.
    const side = Math.hypot(x, y);
    const angle = Math.atan2(side, z);
    return side > 1e-9 ? [(angle * x) / side, (-angle * y) / side] : [0, 0];
  }
}

function limit(value: number, most: number): number {
  return Math.max(-most, Math.min(most, value));
}

/** Return where the eyes are on the head at rest: their joints, or the middle of what their blinks move. */
function eyePlaces(head: Head): [Point, Point] {
  if (hasEyeJoints(head)) {
    const at = (joint: number): Point => [...head.restJoints.subarray(3 * joint, 3 * joint + 3)] as Point;
    return [at(head.roles.left_eye!), at(head.roles.right_eye!)];
  }
  const found = SIDES.map((side, s): Point | null => {
    const shape = head.exprNames.indexOf(`eyeBlink${side}`);
    const direction = shape >= 0 ? head.expressions[shape] : head.eyelids[s];
    if (!direction) return null;
    const sum: Point = [0, 0, 0];
    let weights = 0;
    for (let k = 0; k < direction.values.length / 3; k++) {
      const weight = Math.hypot(...direction.values.subarray(3 * k, 3 * k + 3));
      const vertex = direction.rows ? direction.rows[k] : k;
      for (let c = 0; c < 3; c++) sum[c] += weight * head.template[3 * vertex + c];
      weights += weight;
    }
    return weights > 0 ? [sum[0] / weights, sum[1] / weights, sum[2] / weights] : null;
  });
  const middle = (): Point => {
    const sum: Point = [0, 0, 0];
    head.template.forEach((value, i) => {
      sum[i % 3] += value / head.vertexCount;
    });
    return sum;
  };
  return [found[0] ?? middle(), found[1] ?? middle()];
}

/** What is needed to know where the pointer is: a `Player` has it. */
export interface Picture {
  readonly canvas: HTMLElement;
  getCamera(): PinholeCamera | null;
}

/** Metres in front of the eyes where the pointer is taken to be. */
const REACH = 0.35;

/** Let a gaze follow the pointer over the whole page, and rest when it leaves; returns what ends that. */
export function followPointer(gaze: Gaze, picture: Picture, reach = REACH): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const move = (event: PointerEvent) => {
    const camera = picture.getCamera();
    if (camera) gaze.lookAt(pointInSpace(event, picture.canvas.getBoundingClientRect(), camera, gaze.center, reach));
  };
  addEventListener("pointermove", move, { signal, passive: true });
  addEventListener("pointerdown", move, { signal, passive: true });
  document.documentElement.addEventListener("pointerleave", () => gaze.lookAt(null), { signal });
  return () => {
    stop.abort();
    gaze.lookAt(null);
  };
}

/** Return the point under the pointer on a plane that stands `reach` metres before `face`, seen from the camera. */
export function pointInSpace(
  pointer: { clientX: number; clientY: number },
  rect: { left: number; top: number; width: number; height: number },
  camera: PinholeCamera,
  face: Point,
  reach = REACH,
): Point {
  const { rotation: r } = camera;
  const eye = positionOf(camera);
  const scale = Math.min(rect.height / camera.height, rect.width / camera.width) || 1;
  // Where the principal point is on the page: the picture's middle stays in the middle (`fitCamera`).
  const px = pointer.clientX - rect.left - rect.width / 2 - (camera.cx - camera.width / 2) * scale;
  const py = pointer.clientY - rect.top - rect.height / 2 - (camera.cy - camera.height / 2) * scale;
  const depth = [0, 1, 2].reduce((sum, c) => sum + r[6 + c] * (face[c] - eye[c]), 0);
  // As far to the side as what is seen there at the face's own depth, but nearer to the camera.
  const local = [(px / (camera.fx * scale)) * depth, (py / (camera.fy * scale)) * depth, depth - reach];
  return [0, 1, 2].map((c) => eye[c] + r[c] * local[0] + r[3 + c] * local[1] + r[6 + c] * local[2]) as Point;
}
