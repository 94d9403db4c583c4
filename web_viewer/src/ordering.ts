/**
 * The depth order of one avatar. Up to `LATE_ABOVE` Gaussians it is made at once, and belongs to the picture it is drawn in.
 * Above, a worker makes it meanwhile: a picture shows the newest order there is, as a rule that of the picture before, and
 * one more picture follows when the last order has come.
 */
import type { OrderJob } from "./order_worker.ts";
import { DepthSorter } from "./sort.ts";

/** Gaussians; ordering these takes some milliseconds, a good part of a frame. */
export const LATE_ABOVE = 100_000;

export interface DepthAxis {
  axis: [number, number, number];
  offset: number;
  near: number;
}

export class Ordering {
  /** Ids, farthest first; the first `shown` are of the present order. */
  order: Uint32Array<ArrayBuffer>;
  shown = 0;
  /** Called when an order has come that the last picture did not have. */
  onFresh: (() => void) | null = null;
  private readonly sorter = new DepthSorter();
  private worker: Worker | null = null;
  /** What travels to the worker and back; null while it is there. */
  private load: { centers: Float32Array<ArrayBuffer>; order: Uint32Array<ArrayBuffer> } | null = null;
  /** How many an order has that came since the last picture. */
  private arrived: number | null = null;
  private last = "";
  private job = 0;
  /** Jobs before this one are of no use: the order was made here after they were sent. */
  private usable = 0;
  private disposed = false;

  constructor(
    private readonly ids: Uint32Array<ArrayBuffer>,
    private readonly centers: Float32Array,
  ) {
    this.order = new Uint32Array(ids.length);
    if (ids.length > LATE_ABOVE && typeof Worker !== "undefined") this.hire();
  }

  /** Where there is no worker to be had, the order goes on being made here. */
  private async hire(): Promise<void> {
    const { startOrderWorker } = await import("./order_worker_start.ts");
    const worker = await startOrderWorker(this.ids);
    if (this.disposed) worker?.terminate();
    if (this.disposed || !worker) return;
    worker.onmessage = ({ data }: MessageEvent<OrderJob & { shown: number }>) => {
      this.load = data;
      if (data.job < this.usable) return;
      this.arrived = data.shown;
      this.onFresh?.();
    };
    this.load = { centers: new Float32Array(this.centers.length), order: new Uint32Array(this.ids.length) };
    this.worker = worker;
  }

  /**
   * Make `order` and `shown` for this view; return whether they changed. `version` is another number whenever the centres
   * are others; `now` wants this picture's own order, whatever it takes.
   */
  make(view: DepthAxis, version: number, now: boolean): boolean {
    const key = `${version} ${view.axis} ${view.offset} ${view.near}`;
    if (!this.worker || now) return this.makeHere(view, key);
    const fresh = this.load !== null && this.arrived !== null;
    if (fresh) {
      [this.order, this.load!.order] = [this.load!.order, this.order];
      this.shown = this.arrived!;
      this.arrived = null;
    }
    if (this.load && key !== this.last) {
      const { centers, order } = this.load;
      centers.set(this.centers);
      const job: OrderJob = { centers, order, ...view, job: ++this.job };
      this.worker.postMessage(job, [centers.buffer, order.buffer]);
      this.load = null;
      this.last = key;
    }
    return fresh;
  }

  /** Make it from these ids, here and now. */
  makeOf(ids: Uint32Array, { axis, offset, near }: DepthAxis): void {
    this.shown = this.sorter.sort(this.centers, ids, axis, offset, near, this.order);
  }

  private makeHere(view: DepthAxis, key: string): boolean {
    this.makeOf(this.ids, view);
    this.usable = this.job + 1;
    this.arrived = null;
    this.last = key;
    return true;
  }

  dispose(): void {
    this.disposed = true;
    this.worker?.terminate();
    this.worker = null;
    this.onFresh = null;
  }
}
