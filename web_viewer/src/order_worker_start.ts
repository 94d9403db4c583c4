/** Starting the worker that orders Gaussians; loaded for avatars that need it only. */

/** Return the worker when it has said that it runs, or null where pages cannot have one. */
export function startOrderWorker(ids: Uint32Array<ArrayBuffer>): Promise<Worker | null> {
  return new Promise((resolve) => {
    try {
      const worker = new Worker(new URL("./order_worker.ts", import.meta.url), { type: "module" });
      worker.onmessage = () => resolve(worker);
      worker.onerror = () => resolve(null);
      worker.postMessage(ids);
    } catch {
      resolve(null);
    }
  });
}
