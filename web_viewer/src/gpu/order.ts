/**
 * A radix sort on the card: 32-bit keys in four stable passes of 8 bits, so exactly the order that a stable sort gives.
 * Needs no subgroups: in a round of 32 keys, a thread's rank among equal digits is the number of bits before its own in
 * that digit's mask.
 *
 * Small groups, because every round waits for its group three times: 65 000 keys take 63 ms with 32 threads, 105 with 64
 * and 253 with 256 on a software adapter.
 */
import { Kernel } from "./kernel.ts";
import type { Memory } from "./memory.ts";

/** A thread is a bit of a mask. */
const THREADS = 32;
/** Keys that one workgroup takes, 32 a round. */
const TILE = 1024;
const DIGITS = 256;

const TALLY_SOURCE = `
var<workgroup> bins: array<atomic<u32>, ${DIGITS}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var k = lane; k < ${TILE}u; k += ${THREADS}u) {
    let i = tile.x * ${TILE}u + k;
    if (i < arrayLength(&keys)) { atomicAdd(&bins[(keys[i] >> shift[0]) & ${DIGITS - 1}u], 1u); }
  }
  workgroupBarrier();
  for (var d = lane; d < ${DIGITS}u; d += ${THREADS}u) { places[tile.x * ${DIGITS}u + d] = atomicLoad(&bins[d]); }
}`;

/** Threads that share one digit's tiles, and digits per workgroup. */
const PARTS = 8;
const SCAN_DIGITS = 8;

/** Counts of a digit per tile become how many of it are in the tiles before. */
const SCAN_SOURCE = `
var<workgroup> sums: array<u32, ${PARTS * SCAN_DIGITS}>;

@compute @workgroup_size(${PARTS * SCAN_DIGITS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tiles = arrayLength(&places) / ${DIGITS}u;
  let each = (tiles + ${PARTS - 1}u) / ${PARTS}u;
  let digit = group.x * ${SCAN_DIGITS}u + lane % ${SCAN_DIGITS}u;
  let first = min(lane / ${SCAN_DIGITS}u * each, tiles);
  let end = min(first + each, tiles);
  var sum = 0u;
  for (var t = first; t < end; t++) { sum += places[t * ${DIGITS}u + digit]; }
  sums[lane] = sum;
  workgroupBarrier();
  var next = 0u;
  for (var k = lane % ${SCAN_DIGITS}u; k < lane; k += ${SCAN_DIGITS}u) { next += sums[k]; }
  if (lane >= ${(PARTS - 1) * SCAN_DIGITS}u) { totals[digit] = next + sum; }
  for (var t = first; t < end; t++) {
    let here = places[t * ${DIGITS}u + digit];
    places[t * ${DIGITS}u + digit] = next;
    next += here;
  }
}`;

const SCATTER_SOURCE = `
const OWN = ${DIGITS / THREADS}u;
var<workgroup> masks: array<atomic<u32>, ${DIGITS}>;
var<workgroup> next: array<u32, ${DIGITS}>;
var<workgroup> sums: array<u32, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  let count = arrayLength(&keys);
  // Where each digit begins: smaller digits of all tiles, then this one of the tiles before.
  var sum = 0u;
  for (var d = lane * OWN; d < (lane + 1u) * OWN; d++) { sum += totals[d]; }
  sums[lane] = sum;
  workgroupBarrier();
  var begin = 0u;
  for (var k = 0u; k < lane; k++) { begin += sums[k]; }
  for (var d = lane * OWN; d < (lane + 1u) * OWN; d++) {
    next[d] = begin + places[tile.x * ${DIGITS}u + d];
    begin += totals[d];
  }
  workgroupBarrier();
  for (var r = 0u; r < ${TILE}u; r += ${THREADS}u) {
    let i = tile.x * ${TILE}u + r + lane;
    var key = 0u;
    var digit = 0u;
    if (i < count) {
      key = keys[i];
      digit = (key >> shift[0]) & ${DIGITS - 1}u;
      atomicOr(&masks[digit], 1u << lane);
    }
    workgroupBarrier();
    var place = 0u;
    var isLast = false;
    if (i < count) {
      let mask = atomicLoad(&masks[digit]);
      isLast = (mask >> lane) == 1u;
      place = next[digit] + countOneBits(mask & ((1u << lane) - 1u));
      sortedKeys[place] = key;
      // Before the first pass, the last key is number 0's.
      if (shift[0] == 0u) { sortedValues[place] = count - 1u - i; } else { sortedValues[place] = values[i]; }
    }
    workgroupBarrier();
    if (isLast) {
      next[digit] = place + 1u;
      atomicStore(&masks[digit], 0u);
    }
    workgroupBarrier();
  }
}`;

const READ = "array<u32>";
const WRITE = "mut array<u32>";

/** Sorts numbers 0..N-1 by keys, N of them: number n has key `keys[N - 1 - n]`; of equal keys the larger number is first. */
export class Sorter {
  /** What to fill before a run. */
  readonly keys: GPUBuffer;
  /** The numbers in order of their keys, after a run. */
  readonly order: GPUBuffer;
  private readonly steps: ((pass: GPUComputePassEncoder) => void)[] = [];

  constructor(memory: Memory, count: number) {
    const { device } = memory;
    // Kernels go by the buffers' lengths, so these are not padded.
    const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;
    const words = (name: string, n: number) => memory.buffer(name, 4 * n, STORAGE | COPY_DST | COPY_SRC);
    const tiles = Math.ceil(count / TILE);
    const size = Math.max(count, 1);
    const keys = [words("keys", size), words("keys, half sorted", size)];
    const values = [words("order", size), words("order, half sorted", size)];
    const places = words("places", DIGITS * Math.max(tiles, 1));
    const totals = words("totals", DIGITS);
    [this.keys] = keys;
    [this.order] = values;
    const scan = new Kernel(device, "scan", { places: WRITE, totals: WRITE }, SCAN_SOURCE).bind({ places, totals });
    const tally = new Kernel(device, "tally", { shift: READ, keys: READ, places: WRITE }, TALLY_SOURCE);
    const slots = {
      shift: READ,
      keys: READ,
      values: READ,
      places: READ,
      totals: READ,
      sortedKeys: WRITE,
      sortedValues: WRITE,
    };
    const scatter = new Kernel(device, "scatter", slots, SCATTER_SOURCE);
    for (let p = 0; p < 4; p++) {
      const [from, to] = [p % 2, (p + 1) % 2];
      const shift = memory.storage("shift", Uint32Array.of(8 * p));
      const tallied = tally.bind({ shift, keys: keys[from], places });
      const scattered = scatter.bind({
        shift,
        keys: keys[from],
        values: values[from],
        places,
        totals,
        sortedKeys: keys[to],
        sortedValues: values[to],
      });
      this.steps.push((pass) => {
        tallied(pass, tiles);
        if (tiles) scan(pass, DIGITS / SCAN_DIGITS);
        scattered(pass, tiles);
      });
    }
  }

  run(pass: GPUComputePassEncoder): void {
    for (const step of this.steps) step(pass);
  }
}
