/**
 * onnxruntime-web: WebAssembly, one thread, no worker. A chunk of its own, because it is several megabytes that most avatars
 * never need; its .wasm lies beside it as an asset of the build.
 */
import { env, InferenceSession, Tensor as OrtTensor } from "onnxruntime-web/wasm";
import type { Network } from "../avatar/avatar.ts";
import { fetchWasm } from "../avatar/wasm_file.ts";
import { AvatarFormatError, DeviceError } from "../errors.ts";
import type { NetworkRunner, Tensor } from "./networks.ts";
import { checkOperators } from "./onnx_operators.ts";

const WASM = new URL("../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm", import.meta.url);

env.wasm.numThreads = 1;
env.wasm.proxy = false;
env.logLevel = "error";

/** All runs of all networks, one after another: the runtime has one thread and one memory. */
let last: Promise<unknown> = Promise.resolve();

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const next = last.then(work);
  last = next.catch(() => {});
  return next;
}

let started: Promise<void> | null = null;

async function start(): Promise<void> {
  // Under Node, in tests, the runtime finds the file by itself.
  if (WASM.protocol !== "file:") env.wasm.wasmBinary = await fetchWasm(WASM, "An avatar with networks");
}

/** Load a network. */
export async function openOnnx(network: Network): Promise<NetworkRunner> {
  checkOperators(network.onnx, network.name);
  started ??= start();
  await started.catch((error) => {
    started = null;
    throw error;
  });
  const session = await inTurn(() => InferenceSession.create(network.onnx)).catch((error: Error) => {
    if (/WebAssembly|wasm/i.test(error.message)) {
      throw new DeviceError(`The avatar's networks cannot run here: ${firstLine(error)}`);
    }
    throw new AvatarFormatError(`Network “${network.name}” cannot be loaded: ${firstLine(error)}`);
  });
  const wanted = network.inputs.map((port) => port.name);
  if (session.inputNames.length !== wanted.length || session.inputNames.some((name) => !wanted.includes(name))) {
    throw new AvatarFormatError(
      `Network “${network.name}”: expected inputs ${wanted.join(", ")}; the graph has ${session.inputNames.join(", ")}.`,
    );
  }
  return {
    run: (feed) =>
      inTurn(async () => {
        const tensors: Record<string, OrtTensor> = {};
        for (const [name, { data, shape }] of Object.entries(feed))
          tensors[name] = new OrtTensor("float32", data, shape);
        const found = await session.run(
          tensors,
          network.outputs.map((port) => port.name),
        );
        const out: Record<string, Tensor> = {};
        for (const [name, tensor] of Object.entries(found)) {
          out[name] = { data: tensor.data as Float32Array, shape: [...tensor.dims] };
        }
        return out;
      }).catch((error: Error) => {
        throw new AvatarFormatError(`Network “${network.name}” cannot be run: ${firstLine(error)}`);
      }),
    dispose: () => void inTurn(() => session.release()),
  };
}

function firstLine(error: Error): string {
  return String(error.message ?? error).split("\n")[0];
}
