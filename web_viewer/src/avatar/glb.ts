/**
 * Binary glTF 2.0 as a container, read with bounds: every count and offset is checked against the bytes that are there
 * before anything is allocated. What a document means is for `avatar.ts` to say.
 */
import { AvatarFormatError } from "../errors.ts";
import { decodeIndices, decodeRows, undoExponential } from "./meshopt.ts";

const WIDTHS: Record<string, number> = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4, MAT4: 16 };
const SIZES: Record<number, number> = { 5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4 };
const ARRAYS = {
  5120: Int8Array,
  5121: Uint8Array,
  5122: Int16Array,
  5123: Uint16Array,
  5125: Uint32Array,
  5126: Float32Array,
} as Record<number, unknown> as Record<number, Uint8ArrayConstructor | Float32ArrayConstructor>;
const NORMAL: Record<number, number> = { 5120: 127, 5121: 255, 5122: 32767, 5123: 65535 };
/** Elements of an accessor that stores none of them: what a small file may make us allocate. */
const EMPTY_LIMIT = 1 << 24;
/** Bytes of all decompressed views together; views may name the same bytes again and again. */
const EXPANDED_LIMIT = 1 << 30;
const MESHOPT = "EXT_meshopt_compression";

// biome-ignore lint/suspicious/noExplicitAny: JSON from a stranger; every use below is checked
export type Json = any;

/** Rows of an array that are not zero; `rows` is null when all are stored. */
export interface SparseRows {
  rows: Uint32Array | null;
  values: Float32Array;
}

/** A view's bytes: `binary` or what it was decompressed to. */
interface View {
  data: DataView;
  start: number;
  length: number;
  stride: number | undefined;
}

export class Glb {
  private expanded = new Map<number, DataView>();

  private constructor(
    readonly json: Json,
    /** What has come of the buffer. */
    private readonly binary: DataView,
    /** Where the buffer starts in the file. */
    readonly binaryAt: number,
  ) {}

  /** Return what the first 20 bytes say: how long the file is, and where its JSON ends. Throws `AvatarFormatError`. */
  static measure(buffer: ArrayBuffer, arrived: number): { length: number; jsonEnd: number } {
    const data = new DataView(buffer);
    if (arrived < 20 || data.getUint32(0, true) !== 0x46546c67) {
      throw new AvatarFormatError(
        "This is not a GLB: it does not start with “glTF”. Choose a .glb that flameport wrote.",
      );
    }
    if (data.getUint32(4, true) !== 2) throw new AvatarFormatError("This GLB has a version other than 2.");
    return { length: data.getUint32(8, true), jsonEnd: 20 + data.getUint32(12, true) };
  }

  /**
   * Return the container in `buffer`; throws `AvatarFormatError` unless it is a whole GLB of version 2. With `arrived`, the
   * beginning of one is enough: the JSON has to be there, and what lies further is outside the file as long as it has not come.
   */
  static parse(buffer: ArrayBuffer, arrived?: number): Glb {
    const data = new DataView(buffer);
    const { length } = Glb.measure(buffer, arrived ?? buffer.byteLength);
    if (arrived === undefined && length > buffer.byteLength) {
      throw new AvatarFormatError(
        `The file was cut off: it says ${length} bytes, ${buffer.byteLength} arrived. Copy it again.`,
      );
    }
    const here = Math.min(length, arrived ?? length);
    const chunk = (start: number, kind: number): [number, number] => {
      const size = data.getUint32(start, true);
      if (data.getUint32(start + 4, true) !== kind || start + 8 + size > length) {
        throw new AvatarFormatError(`The GLB's chunk at byte ${start} is damaged. Copy the file again.`);
      }
      return [start + 8, size];
    };
    const [jsonAt, jsonSize] = chunk(12, 0x4e4f534a);
    let json: Json;
    try {
      json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(buffer, jsonAt, jsonSize)));
    } catch {
      throw new AvatarFormatError("The GLB's JSON is damaged. Copy the file again.");
    }
    const binaryAt = jsonAt + jsonSize;
    const [at, size] = binaryAt + 8 <= here ? chunk(binaryAt, 0x004e4942) : [0, 0];
    return new Glb(json, new DataView(buffer, at, Math.max(0, Math.min(size, here - at))), binaryAt + 8);
  }

  /** Return the whole of what this is the beginning of; what was decompressed already is not again. */
  completed(buffer: ArrayBuffer): Glb {
    const whole = Glb.parse(buffer);
    whole.expanded = this.expanded;
    return whole;
  }

  /** Return entry `index` of a top-level list such as "accessors". */
  item(kind: string, index: Json): Json {
    const list = this.json?.[kind];
    if (!Array.isArray(list) || !Number.isInteger(index) || index < 0 || index >= list.length) {
      throw new AvatarFormatError(`The GLB refers to ${kind}[${index}], which it does not have.`);
    }
    return list[index];
  }

  /** Return an accessor as floats, row after row of `width`; normalised integers are scaled as glTF says. */
  floats(index: Json, width: number, count?: number): Float32Array {
    const rows = this.count(index, width, count);
    const out = new Float32Array(rows * width);
    this.fill(index, width, rows, out);
    // What is not finite makes NaN of nothing times it.
    let nothing = 0;
    for (let i = 0; i < out.length; i++) nothing += 0 * out[i];
    if (nothing !== 0) throw new AvatarFormatError(`accessors[${index}] holds NaN or infinity.`);
    return out;
  }

  /** Return an accessor of unsigned integers; each must be below `limit`. */
  integers(index: Json, width: number, count: number | undefined, limit: number): Uint32Array {
    const rows = this.count(index, width, count);
    const kind = this.item("accessors", index).componentType;
    if (kind !== 5121 && kind !== 5123 && kind !== 5125) {
      throw new AvatarFormatError(`accessors[${index}]: expected unsigned integers.`);
    }
    const out = new Uint32Array(rows * width);
    this.fill(index, width, rows, out);
    for (const value of out) {
      if (value >= limit) throw new AvatarFormatError(`accessors[${index}]: index ${value}, there are only ${limit}.`);
    }
    return out;
  }

  /** Return VEC3 rows below `count`, only those that are not zero when that is fewer than two thirds. */
  sparseRows(index: Json, total: number, count: number): SparseRows {
    const accessor = this.item("accessors", index);
    this.count(index, 3, total);
    if (accessor.sparse && accessor.bufferView === undefined) {
      const [rows, values] = this.sparse(accessor, index, 3);
      let kept = rows.length;
      while (kept > 0 && rows[kept - 1] >= count) kept--;
      const floats = Float32Array.from(values.subarray(0, kept * 3));
      return { rows: rows.slice(0, kept), values: floats };
    }
    const dense = this.floats(index, 3, total).subarray(0, count * 3);
    const rows = new Uint32Array(count);
    let kept = 0;
    for (let i = 0; i < count; i++) {
      if (dense[3 * i] !== 0 || dense[3 * i + 1] !== 0 || dense[3 * i + 2] !== 0) rows[kept++] = i;
    }
    if (kept * 3 > count * 2) return { rows: null, values: dense.length === count * 3 ? dense : dense.slice() };
    const values = new Float32Array(kept * 3);
    for (let k = 0, v = 0; k < kept; k++) {
      const at = 3 * rows[k];
      values[v++] = dense[at];
      values[v++] = dense[at + 1];
      values[v++] = dense[at + 2];
    }
    return { rows: rows.slice(0, kept), values };
  }

  /** Return how many elements an accessor has, after checking its type. */
  count(index: Json, width: number, expected?: number): number {
    const accessor = this.item("accessors", index);
    if (WIDTHS[accessor.type] !== width || !(accessor.componentType in SIZES)) {
      throw new AvatarFormatError(`accessors[${index}]: expected ${width} numbers each, got ${accessor.type}.`);
    }
    const count = accessor.count;
    if (!Number.isInteger(count) || count < 1 || (expected !== undefined && count !== expected)) {
      throw new AvatarFormatError(`accessors[${index}]: expected ${expected ?? "some"} elements, got ${count}.`);
    }
    const where = `accessors[${index}]`;
    if (accessor.bufferView !== undefined) {
      this.bounds(accessor.bufferView, accessor.byteOffset ?? 0, accessor.componentType, width, count, where);
    } else if (count * width > EMPTY_LIMIT) {
      throw new AvatarFormatError(`${where}: ${count} elements without bytes is more than we read.`);
    }
    return count;
  }

  /** Return the bytes of a view: an image, or a network. */
  bytes(index: Json, where: string): Uint8Array<ArrayBuffer> {
    const { data, start, length } = this.view(index, where);
    return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset + start, length);
  }

  private fill(index: Json, width: number, count: number, out: Float32Array | Uint32Array): void {
    const accessor = this.item("accessors", index);
    const { componentType } = accessor;
    const scale = accessor.normalized === true ? NORMAL[componentType] : undefined;
    if (accessor.bufferView !== undefined) {
      this.elements(
        accessor.bufferView,
        accessor.byteOffset ?? 0,
        componentType,
        width,
        count,
        `accessors[${index}]`,
        out,
      );
    }
    if (accessor.sparse) {
      const [rows, values] = this.sparse(accessor, index, width);
      rows.forEach((row, k) => {
        if (row < count) for (let c = 0; c < width; c++) out[row * width + c] = values[k * width + c];
      });
    }
    if (scale) for (let i = 0; i < out.length; i++) out[i] = Math.max(out[i] / scale, -1);
  }

  private sparse(accessor: Json, index: Json, width: number): [Uint32Array, Float32Array] {
    const { count, indices, values } = accessor.sparse;
    const where = `accessors[${index}].sparse`;
    if (!Number.isInteger(count) || count < 1 || count > accessor.count) {
      throw new AvatarFormatError(`${where}: count ${count} is not in 1..${accessor.count}.`);
    }
    this.bounds(indices?.bufferView, indices?.byteOffset ?? 0, indices?.componentType, 1, count, where);
    this.bounds(values?.bufferView, values?.byteOffset ?? 0, accessor.componentType, width, count, where);
    const rows = new Uint32Array(count);
    this.elements(indices.bufferView, indices.byteOffset ?? 0, indices.componentType, 1, count, where, rows);
    for (let i = 0; i < count; i++) {
      if (rows[i] >= accessor.count || (i > 0 && rows[i] <= rows[i - 1])) {
        throw new AvatarFormatError(`${where}: indices must rise and stay below ${accessor.count}.`);
      }
    }
    const floats = new Float32Array(count * width);
    this.elements(values.bufferView, values.byteOffset ?? 0, accessor.componentType, width, count, where, floats);
    return [rows, floats];
  }

  private bounds(
    view: Json,
    offset: Json,
    type: number,
    width: number,
    count: number,
    where: string,
  ): [DataView, number, number] {
    const { data, start, length, stride = SIZES[type] * width } = this.view(view, where);
    const size = SIZES[type] * width;
    if (!Number.isInteger(offset) || offset < 0 || !size || stride < size) {
      throw new AvatarFormatError(`${where}: its layout makes no sense.`);
    }
    if (offset + stride * (count - 1) + size > length) {
      throw new AvatarFormatError(`${where}: reaches outside the file, which may have been cut off.`);
    }
    return [data, start + offset, stride];
  }

  private view(index: Json, where: string): View {
    const { byteOffset = 0, byteLength, byteStride, buffer = 0, extensions = {} } = this.item("bufferViews", index);
    if (byteStride !== undefined && !(Number.isInteger(byteStride) && byteStride >= 0)) {
      throw new AvatarFormatError(`${where}: its layout makes no sense.`);
    }
    if (extensions[MESHOPT]) {
      const data = this.expanded.get(index) ?? this.expand(extensions[MESHOPT], where);
      this.expanded.set(index, data);
      return { data, start: 0, length: data.byteLength, stride: byteStride };
    }
    if (Object.keys(extensions).some((name) => name.toLowerCase().includes("meshopt"))) {
      throw new AvatarFormatError("This GLB is compressed with another meshopt; export it with flameport again.");
    }
    this.slice(buffer, byteOffset, byteLength, where);
    return { data: this.binary, start: byteOffset, length: byteLength, stride: byteStride };
  }

  /** Return bytes of the file's own buffer, after checking that they are there. */
  private slice(buffer: Json, offset: Json, length: Json, where: string): Uint8Array {
    const whole = [offset, length].every((n) => Number.isInteger(n) && n >= 0);
    if (!whole || buffer !== 0) throw new AvatarFormatError(`${where}: its layout makes no sense.`);
    if (offset + length > this.binary.byteLength) {
      throw new AvatarFormatError(`${where}: reaches outside the file, which may have been cut off.`);
    }
    return new Uint8Array(this.binary.buffer, this.binary.byteOffset + offset, length);
  }

  private expand(how: Json, where: string): DataView {
    const { buffer = 0, byteOffset = 0, byteLength, byteStride, count, mode, filter = "NONE" } = how;
    const packed = this.slice(buffer, byteOffset, byteLength, where);
    if (!Number.isInteger(count) || count < 1 || !Number.isInteger(byteStride)) {
      throw new AvatarFormatError(`${where}: its layout makes no sense.`);
    }
    let total = count * byteStride;
    for (const view of this.expanded.values()) total += view.byteLength;
    if (total > EXPANDED_LIMIT) throw new AvatarFormatError(`${where}: would decompress to more than a gigabyte.`);
    if (mode === "INDICES" && filter === "NONE" && (byteStride === 2 || byteStride === 4)) {
      const indices = decodeIndices(packed, count);
      return new DataView((byteStride === 4 ? indices : Uint16Array.from(indices)).buffer);
    }
    if (mode !== "ATTRIBUTES" || (filter !== "NONE" && filter !== "EXPONENTIAL")) {
      throw new AvatarFormatError(
        `${where}: meshopt's ${mode} with filter ${filter} is not read; export the avatar again.`,
      );
    }
    const rows = decodeRows(packed, count, byteStride);
    if (filter === "EXPONENTIAL") undoExponential(rows);
    return new DataView(rows.buffer);
  }

  private elements(
    view: Json,
    offset: Json,
    type: number,
    width: number,
    count: number,
    where: string,
    out: Float32Array | Uint32Array,
  ): void {
    const [data, start, stride] = this.bounds(view, offset, type, width, count, where);
    const size = SIZES[type];
    const at = data.byteOffset + start;
    if (type === 5126 && stride === size * width && at % 4 === 0 && out instanceof Float32Array) {
      out.set(new Float32Array(data.buffer, at, count * width));
      return;
    }
    if (at % size === 0 && stride % size === 0) {
      const source = new ARRAYS[type](data.buffer as ArrayBuffer, at, ((count - 1) * stride) / size + width);
      const step = stride / size;
      for (let i = 0, o = 0, row = 0; i < count; i++, row += step) {
        for (let c = 0; c < width; c++, o++) out[o] = source[row + c];
      }
      return;
    }
    const read = reader(data, type);
    for (let i = 0, o = 0, row = start; i < count; i++, row += stride) {
      for (let c = 0; c < width; c++, o++) out[o] = read(row + c * size);
    }
  }
}

function reader(b: DataView, type: number): (at: number) => number {
  switch (type) {
    case 5120:
      return (at) => b.getInt8(at);
    case 5121:
      return (at) => b.getUint8(at);
    case 5122:
      return (at) => b.getInt16(at, true);
    case 5123:
      return (at) => b.getUint16(at, true);
    case 5125:
      return (at) => b.getUint32(at, true);
    default:
      return (at) => b.getFloat32(at, true);
  }
}
