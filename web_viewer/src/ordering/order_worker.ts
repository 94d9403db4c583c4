/** Orders Gaussians beside the page; started by `late_order.ts` with their ids. */
import { DepthSorter } from "./sort.ts";

/** Arrays travel there and back. */
export interface OrderJob {
  job: number;
  centers: Float32Array<ArrayBuffer>;
  order: Uint32Array<ArrayBuffer>;
  axis: [number, number, number];
  offset: number;
  near: number;
}

const sorter = new DepthSorter();
let ids: Uint32Array | null = null;

addEventListener("message", ({ data }: MessageEvent<Uint32Array | OrderJob>) => {
  if (data instanceof Uint32Array) {
    ids = data;
    postMessage(null);
    return;
  }
  const { centers, order, axis, offset, near, job } = data;
  const shown = sorter.sort(centers, ids!, axis, offset, near, order);
  postMessage({ job, centers, order, shown }, { transfer: [centers.buffer, order.buffer] });
});
