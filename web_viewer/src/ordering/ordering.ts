/**
 * The depth order of one avatar. Up to `LATE_ABOVE` Gaussians it is made at once, and belongs to the picture it is drawn in.
 * Above, a worker makes it meanwhile (`late_order.ts`): a picture shows the newest order there is, as a rule that of the
 * picture before, and one more picture follows when the last order has come.
 */
import type { LateOrder } from "./late_order.ts";
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
  private late: LateOrder | null = null;
  private disposed = false;

  constructor(
    readonly ids: Uint32Array<ArrayBuffer>,
    readonly centers: Float32Array,
  ) {
    this.order = new Uint32Array(ids.length);
    // Where there is no worker to be had, nor what speaks with it, the order goes on being made here.
    if (ids.length > LATE_ABOVE) this.hire().catch(() => {});
  }

  private async hire(): Promise<void> {
    const { LateOrder } = await import("./late_order.ts");
    const late = await LateOrder.start(this);
    if (this.disposed) late?.dispose();
    else this.late = late;
  }

  /**
   * Make `order` and `shown` for this view; return whether they changed. `version` is another number whenever the centres
   * are others; `now` wants this picture's own order, whatever it takes.
   */
  make(view: DepthAxis, version: number, now: boolean): boolean {
    if (this.late && !now) return this.late.make(view, version);
    this.makeOf(this.ids, view);
    this.late?.madeHere(view, version);
    return true;
  }

  /** Make it from these ids, here and now. */
  makeOf(ids: Uint32Array, { axis, offset, near }: DepthAxis): void {
    this.shown = this.sorter.sort(this.centers, ids, axis, offset, near, this.order);
  }

  /** There is no worker any more: orders are made here again, the one of the last picture, too. */
  dismiss(): void {
    this.late?.dispose();
    this.late = null;
    this.onFresh?.();
  }

  dispose(): void {
    this.disposed = true;
    this.late?.dispose();
    this.onFresh = null;
  }
}
