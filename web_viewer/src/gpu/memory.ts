/** Owners of WebGPU objects: each buffer and texture is made and destroyed here, and counted. */
/// <reference types="@webgpu/types" />
import { DeviceError } from "../errors.ts";

/** What one owner has on the card; `dispose` frees all of it. */
export class Memory {
  /** Bytes of buffers that are alive. */
  bytes = 0;
  private readonly buffers = new Set<GPUBuffer>();

  constructor(readonly device: GPUDevice) {}

  /** How many buffers are alive. */
  get count(): number {
    return this.buffers.size;
  }

  /** Return a storage buffer of `content`, or of that many bytes of zeros. Throws `DeviceError` when it is too large. */
  storage(name: string, content: number | Uint32Array | Float32Array, more = 0): GPUBuffer {
    const wanted = typeof content === "number" ? content : content.byteLength;
    const size = Math.max(16, Math.ceil(wanted / 16) * 16);
    const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;
    return this.buffer(name, size, STORAGE | COPY_DST | COPY_SRC | more, content);
  }

  /** Return a buffer of any use. Throws `DeviceError` when it is too large. */
  buffer(label: string, size: number, usage: number, content: number | Uint32Array | Float32Array = 0): GPUBuffer {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits;
    const most = usage & GPUBufferUsage.STORAGE ? Math.min(maxBufferSize, maxStorageBufferBindingSize) : maxBufferSize;
    if (size > most) {
      throw new DeviceError(`The avatar's ${label} need a buffer of ${size} bytes; this device has at most ${most}.`);
    }
    const buffer = this.device.createBuffer({ label, size, usage });
    this.buffers.add(buffer);
    this.bytes += size;
    if (typeof content !== "number" && content.byteLength) {
      this.device.queue.writeBuffer(buffer, 0, content.buffer as ArrayBuffer, content.byteOffset, content.byteLength);
    }
    return buffer;
  }

  free(buffer: GPUBuffer): void {
    if (!this.buffers.delete(buffer)) return;
    this.bytes -= buffer.size;
    buffer.destroy();
  }

  dispose(): void {
    for (const buffer of [...this.buffers]) this.free(buffer);
  }
}

/** Return a copy of the first `bytes` of a buffer. */
export async function readBack(memory: Memory, from: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
  const { MAP_READ, COPY_DST } = GPUBufferUsage;
  const copy = memory.buffer("read back", Math.ceil(bytes / 4) * 4, MAP_READ | COPY_DST);
  const encoder = memory.device.createCommandEncoder();
  encoder.copyBufferToBuffer(from, 0, copy, 0, copy.size);
  memory.device.queue.submit([encoder.finish()]);
  return mapped(memory, copy, bytes);
}

/** Wait for a buffer to be mapped, return a copy of its bytes and free it. Throws `DeviceError` when the card is lost. */
export async function mapped(memory: Memory, buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
  try {
    await buffer.mapAsync(GPUMapMode.READ);
    return buffer.getMappedRange().slice(0, bytes);
  } catch {
    throw new DeviceError("The graphics device was lost while it was read.");
  } finally {
    memory.free(buffer);
  }
}
