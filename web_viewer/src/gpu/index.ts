/** Drawing with WebGPU: a chunk of its own, loaded when it is wanted. */
import { WebGPUDevice } from "./device.ts";

export type { WebGPUDevice } from "./device.ts";
export { RelayDevice } from "./relay.ts";
export { supports } from "./supports.ts";

/** Return a WebGPU device for a canvas, or without one for pictures that are read back. Throws `DeviceError`. */
export function createWebGPUDevice(canvas: HTMLCanvasElement | OffscreenCanvas | null): Promise<WebGPUDevice> {
  return WebGPUDevice.create(canvas);
}
