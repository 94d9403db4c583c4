/** Linear dynamics: delta[n] = sum_k T[n, k] c_k (`formats.avatar.LinearDynamics`). */
import type { CoefficientFunction, LinearDynamics } from "../avatar/avatar.ts";
import { SequenceError } from "../errors.ts";
import type { Pose } from "./pose.ts";

/** What dynamics may move, and how many numbers that is per Gaussian. */
export const CHANNELS = { means: 3, rotvecs: 3, log_scales: 3, opacity_logits: 1, rgb: 3 } as const;
export type Channel = keyof typeof CHANNELS;

/**
 * Write the coefficients c: the named drivers end to end, less their mean; or what the dynamics' function makes of those.
 *
 * One driver may be absent, as when no clip is playing: it then rests at its mean and adds nothing.
 */
export function coefficientsOf(dynamics: LinearDynamics, pose: Pose, out: Float64Array): void {
  const { fitted } = dynamics;
  if (!fitted) {
    drivingNumbers(dynamics, dynamics.rank, pose, out);
    return;
  }
  const known = scratch.get(fitted);
  const y = known ?? new Float64Array(fitted.low.length + fitted.innerBias.length);
  if (!known) scratch.set(fitted, y);
  drivingNumbers(dynamics, fitted.low.length, pose, y);
  evaluate(fitted, y, out);
}

/** Room for a function's driving and hidden numbers, kept so that a frame takes no memory. */
const scratch = new WeakMap<CoefficientFunction, Float64Array>();

/** Work out a function; `y` holds the driving numbers, and room for the hidden ones behind them. */
function evaluate(
  { linear, bias, inner, innerBias, outer, low, high }: CoefficientFunction,
  y: Float64Array,
  out: Float64Array,
): void {
  const [driving, hidden] = [low.length, innerBias.length];
  for (let d = 0; d < driving; d++) y[d] = Math.min(Math.max(y[d], low[d]), high[d]);
  for (let h = 0, at = 0; h < hidden; h++) {
    let sum = innerBias[h];
    for (let d = 0; d < driving; d++, at++) sum += inner[at] * y[d];
    y[driving + h] = Math.tanh(sum);
  }
  for (let k = 0, at = 0, to = 0; k < bias.length; k++) {
    let sum = bias[k];
    for (let d = 0; d < driving; d++, at++) sum += linear[at] * y[d];
    for (let h = 0; h < hidden; h++, to++) sum += outer[to] * y[driving + h];
    out[k] = sum;
  }
}

/** Write the driver less its mean: `count` numbers. */
function drivingNumbers(dynamics: LinearDynamics, count: number, pose: Pose, out: Float64Array): void {
  const parts = dynamics.driver.map((name) => pose.driver(name));
  const known = parts.reduce((sum, part) => sum + (part?.length ?? 0), 0);
  const absent = dynamics.driver.filter((_, i) => parts[i] === undefined);
  const gap = count - known;
  if (absent.length > 1 || gap < 0 || (absent.length === 0 && gap !== 0)) {
    const wanted = dynamics.driver.join(" + ");
    throw new SequenceError(`The avatar's dynamics read ${count} numbers from ${wanted}; the clip holds ${known}.`);
  }
  let at = 0;
  for (const part of parts) {
    for (let i = 0; i < (part?.length ?? gap); i++, at++) out[at] = part ? part[i] - (dynamics.mean?.[at] ?? 0) : 0;
  }
}

/** Add the deltas of one channel to `out`, N * C. */
export function addDeltas(table: Float32Array, coefficients: Float64Array, out: Float64Array): void {
  const length = out.length;
  for (let k = 0; k < coefficients.length; k++) {
    const c = coefficients[k];
    if (c === 0) continue;
    const start = k * length;
    for (let i = 0; i < length; i++) out[i] += c * table[start + i];
  }
}
