/** Workers that transcode KTX2 images, so that the page goes on meanwhile: a picture of 1024 x 1024 takes fifty milliseconds. */
import { startWorker } from "../workers.ts";
import type { BlockFormat } from "./ktx2.ts";
import address from "./ktx2_worker.ts?worker&url";

/** Workers at most; each holds some twenty megabytes. */
const MOST = 4;
/** Milliseconds without work after which they are let go. */
const PATIENCE = 3000;

/** The answer to a job; `undefined` when no worker could do it. */
type Answer = Uint8Array<ArrayBuffer> | null | undefined;

interface Job {
  bytes: Uint8Array;
  format: BlockFormat;
  done: (answer: Answer) => void;
}

interface Desk {
  worker: Worker;
  /** What it works at; null while it starts, and when it has nothing to do. */
  job: Job | null;
  ready: boolean;
}

const waiting: Job[] = [];
let desks: Desk[] = [];
/** Where one did not start, none does. */
let closed = false;
let leave: ReturnType<typeof setTimeout> | undefined;

/**
 * Transcode in a worker. Returns null for a damaged image, and `undefined` where workers do not run: then it is to be done
 * on the page.
 */
export function transcodeBeside(bytes: Uint8Array, format: BlockFormat, wasm: ArrayBuffer): Promise<Answer> {
  return new Promise((done) => {
    if (closed) {
      done(undefined);
      return;
    }
    waiting.push({ bytes, format, done });
    const most = Math.min(MOST, Math.max(1, (navigator.hardwareConcurrency || 2) - 1));
    const free = desks.filter((desk) => !desk.job).length;
    if (desks.length < most && free < waiting.length) open(wasm);
    serve();
  });
}

function open(wasm: ArrayBuffer): void {
  let worker: Worker;
  try {
    worker = startWorker(address);
  } catch {
    close();
    return;
  }
  const desk: Desk = { worker, job: null, ready: false };
  desks.push(desk);
  worker.onmessage = ({ data }: MessageEvent<Answer>) => {
    desk.ready = true;
    desk.job?.done(data);
    desk.job = null;
    serve();
  };
  worker.onerror = (event) => {
    event.preventDefault?.();
    close();
  };
  worker.onmessageerror = close;
  worker.postMessage(wasm);
}

/** Hand out what waits to those who wait. */
function serve(): void {
  clearTimeout(leave);
  for (const desk of desks) {
    if (!desk.ready || desk.job || !waiting.length) continue;
    desk.job = waiting.shift()!;
    // A copy: the view may be of a whole file, which would travel with it.
    const bytes = desk.job.bytes.slice();
    desk.worker.postMessage({ bytes, format: desk.job.format }, [bytes.buffer]);
  }
  if (desks.every((desk) => desk.ready && !desk.job)) leave = setTimeout(release, PATIENCE);
}

function release(): void {
  for (const { worker } of desks) worker.terminate();
  desks = [];
}

/** No worker runs here: what they had, and all that comes, is for the page. */
function close(): void {
  closed = true;
  const left = [...desks.flatMap(({ job }) => job ?? []), ...waiting.splice(0)];
  release();
  for (const { done } of left) done(undefined);
}
