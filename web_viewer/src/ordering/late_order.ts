/** Depth orders from a worker, for avatars with too many Gaussians to order within a picture. */
import { DeviceError } from "../errors.ts";
import { startWorker } from "../workers.ts";
import type { OrderJob } from "./order_worker.ts";
// The bundler's address of the worker's script.
import address from "./order_worker.ts?worker&url";
import type { DepthAxis, Ordering } from "./ordering.ts";

/** Milliseconds that an order may take. */
const PATIENCE = 5000;

export class LateOrder {
  /** What travels to the worker and back; null while it is there. */
  private load: { centers: Float32Array<ArrayBuffer>; order: Uint32Array<ArrayBuffer> } | null;
  /** How many an order has that came since the last picture. */
  private arrived: number | null = null;
  /** What the newest order is of. */
  private last = "";
  private job = 0;
  /** Jobs before this one are of no use: the order was made on the page after they were sent. */
  private usable = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    private readonly worker: Worker,
    private readonly ordering: Ordering,
  ) {
    const { centers, ids } = ordering;
    this.load = { centers: new Float32Array(centers.length), order: new Uint32Array(ids.length) };
    worker.onmessage = ({ data }: MessageEvent<OrderJob & { shown: number }>) => {
      clearTimeout(this.timer);
      this.load = data;
      if (data.job >= this.usable) this.arrived = data.shown;
      // Also where it is of no use: something may have moved while the worker was busy.
      ordering.onFresh?.();
    };
    worker.onerror = worker.onmessageerror = () => this.fail();
  }

  /** The worker has died, or does not answer. The page's error handlers are told once; its pictures go on. */
  private fail(): void {
    this.ordering.dismiss();
    reportError(new DeviceError("The worker that orders Gaussians stopped; they are ordered on the page from now on."));
  }

  /** Return one when its worker has said that it runs, or null where pages cannot have workers. */
  static start(ordering: Ordering): Promise<LateOrder | null> {
    return new Promise((resolve) => {
      try {
        const worker = startWorker(address);
        worker.onmessage = () => resolve(new LateOrder(worker, ordering));
        worker.onerror = () => {
          worker.terminate();
          resolve(null);
        };
        worker.postMessage(ordering.ids);
      } catch {
        resolve(null);
      }
    });
  }

  /** Take the order that has come, and ask for the next where this view or its centres are others. */
  make(view: DepthAxis, version: number): boolean {
    const { load, ordering } = this;
    if (!load) return false;
    const fresh = this.arrived !== null;
    if (this.arrived !== null) {
      [ordering.order, load.order] = [load.order, ordering.order];
      ordering.shown = this.arrived;
      this.arrived = null;
    }
    const key = keyOf(view, version);
    if (key !== this.last) {
      this.last = key;
      this.load = null;
      // One that was ended from outside says nothing.
      this.timer = setTimeout(() => this.fail(), PATIENCE);
      const { centers, order } = load;
      centers.set(ordering.centers);
      const job: OrderJob = { centers, order, ...view, job: ++this.job };
      this.worker.postMessage(job, [centers.buffer, order.buffer]);
    }
    return fresh;
  }

  /** The order was made on the page: what the worker is at is of no use. */
  madeHere(view: DepthAxis, version: number): void {
    this.usable = this.job + 1;
    this.arrived = null;
    this.last = keyOf(view, version);
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.worker.terminate();
  }
}

function keyOf({ axis, offset, near }: DepthAxis, version: number): string {
  return `${version} ${axis} ${offset} ${near}`;
}
