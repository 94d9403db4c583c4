/**
 * A radix sort on the card: 32-bit keys in four stable passes of 8 bits, so exactly the order that a stable sort gives.
 * Needs no subgroups: within a round of 256 keys, a thread's rank among equal digits is the number of set bits before its
 * own in that digit's mask.
 */
import { Kernel } from "./kernel.ts";
import type { Memory } from "./memory.ts";

const THREADS = 256;
/** Rounds of 256 keys that one workgroup takes. */
const ROUNDS = 8;
const TILE = THREADS * ROUNDS;

const TALLY_SOURCE = `
var<workgroup> bins: array<atomic<u32>, 256>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var r = 0u; r < ${ROUNDS}u; r++) {
    let i = tile.x * ${TILE}u + r * ${THREADS}u + lane;
    if (i < arrayLength(&keys)) { atomicAdd(&bins[(keys[i] >> shift[0]) & 255u], 1u); }
  }
  workgroupBarrier();
  places[tile.x * 256u + lane] = atomicLoad(&bins[lane]);
}`;

/** Counts of digits per tile become the place of each tile's first such digit. */
const SCAN_SOURCE = `
var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) digit: u32) {
  var total = 0u;
  for (var at = digit; at < arrayLength(&places); at += 256u) { total += places[at]; }
  sums[digit] = total;
  workgroupBarrier();
  for (var step = 1u; step < 256u; step *= 2u) {
    let before = select(0u, sums[max(digit, step) - step], digit >= step);
    workgroupBarrier();
    sums[digit] += before;
    workgroupBarrier();
  }
  var next = sums[digit] - total;
  for (var at = digit; at < arrayLength(&places); at += 256u) {
    let here = places[at];
    places[at] = next;
    next += here;
  }
}`;

const SCATTER_SOURCE = `
var<workgroup> masks: array<atomic<u32>, 2048>;
var<workgroup> next: array<u32, 256>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  let count = arrayLength(&keys);
  let word = lane / 32u;
  let bit = 1u << (lane % 32u);
  next[lane] = places[tile.x * 256u + lane];
  for (var r = 0u; r < ${ROUNDS}u; r++) {
    let i = tile.x * ${TILE}u + r * ${THREADS}u + lane;
    var key = 0u;
    var digit = 0u;
    if (i < count) {
      key = keys[i];
      digit = (key >> shift[0]) & 255u;
      atomicOr(&masks[word * 256u + digit], bit);
    }
    workgroupBarrier();
    if (i < count) {
      var rank = countOneBits(atomicLoad(&masks[word * 256u + digit]) & (bit - 1u));
      for (var w = 0u; w < word; w++) { rank += countOneBits(atomicLoad(&masks[w * 256u + digit])); }
      let place = next[digit] + rank;
      sortedKeys[place] = key;
      // Before the first pass, the last key is number 0's.
      if (shift[0] == 0u) { sortedValues[place] = count - 1u - i; } else { sortedValues[place] = values[i]; }
    }
    workgroupBarrier();
    var taken = 0u;
    for (var w = 0u; w < 8u; w++) {
      taken += countOneBits(atomicLoad(&masks[w * 256u + lane]));
      atomicStore(&masks[w * 256u + lane], 0u);
    }
    next[lane] += taken;
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
    const places = words("places", 256 * Math.max(tiles, 1));
    [this.keys] = keys;
    [this.order] = values;
    const scan = new Kernel(device, "scan", { places: WRITE }, SCAN_SOURCE).bind({ places });
    const tally = new Kernel(device, "tally", { shift: READ, keys: READ, places: WRITE }, TALLY_SOURCE);
    const slots = { shift: READ, keys: READ, values: READ, places: READ, sortedKeys: WRITE, sortedValues: WRITE };
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
        sortedKeys: keys[to],
        sortedValues: values[to],
      });
      this.steps.push((pass) => {
        tallied(pass, tiles);
        if (tiles) scan(pass, 1);
        scattered(pass, tiles);
      });
    }
  }

  run(pass: GPUComputePassEncoder): void {
    for (const step of this.steps) step(pass);
  }
}
