/**
 * What an ONNX graph computes with, read from its protobuf before the runtime sees it: a stranger's graph that loops could
 * keep the page busy for ever, and nothing that flameport writes does.
 */
import { AvatarFormatError } from "../errors.ts";

const LOOPS = ["Loop", "Scan", "If", "SequenceMap"];
/** Fields of ModelProto, GraphProto and NodeProto. */
const GRAPH = 7;
const FUNCTIONS = 25;
const NODE = 1;
const OPERATOR = 4;

/** Throw `AvatarFormatError` for a graph with control flow or functions of its own, or bytes that are no protobuf. */
export function checkOperators(onnx: Uint8Array, name: string): void {
  for (const operator of operatorsOf(onnx, name)) {
    if (LOOPS.includes(operator)) {
      throw new AvatarFormatError(`Network “${name}” uses ${operator}, which this viewer does not run.`);
    }
  }
}

/** Return the types of the graph's operators. */
export function operatorsOf(onnx: Uint8Array, name: string): Set<string> {
  const found = new Set<string>();
  const damaged = () => new AvatarFormatError(`Network “${name}” is damaged: not an ONNX graph.`);
  let graphs = 0;
  for (const [field, model] of fields(onnx, damaged)) {
    if (field === FUNCTIONS) throw new AvatarFormatError(`Network “${name}” defines operators of its own.`);
    if (field !== GRAPH || !model) continue;
    graphs++;
    for (const [part, node] of fields(model, damaged)) {
      if (part !== NODE || !node) continue;
      for (const [key, value] of fields(node, damaged)) {
        if (key === OPERATOR && value) found.add(new TextDecoder().decode(value));
      }
    }
  }
  if (graphs !== 1) throw damaged();
  return found;
}

/** Yield a message's fields: their numbers, and the bytes of those that have some. */
function* fields(bytes: Uint8Array, damaged: () => Error): Generator<[number, Uint8Array | null]> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; scale < 2 ** 63; scale *= 128) {
      if (at >= bytes.length) throw damaged();
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw damaged();
  };
  while (at < bytes.length) {
    const tag = varint();
    const [field, wire] = [Math.floor(tag / 8), tag % 8];
    if (wire === 2) {
      const length = varint();
      if (at + length > bytes.length) throw damaged();
      yield [field, bytes.subarray(at, at + length)];
      at += length;
    } else {
      if (wire === 0) varint();
      else if (wire === 1) at += 8;
      else if (wire === 5) at += 4;
      else throw damaged();
      if (at > bytes.length) throw damaged();
      yield [field, null];
    }
  }
}
