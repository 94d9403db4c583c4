/** What we call of Basis Universal's transcoder. */
interface KTX2File {
  isValid(): boolean;
  getWidth(): number;
  getHeight(): number;
  startTranscoding(): boolean;
  getImageTranscodedSizeInBytes(level: number, layer: number, face: number, format: number): number;
  transcodeImage(
    out: Uint8Array,
    level: number,
    layer: number,
    face: number,
    format: number,
    alphaForOpaque: number,
    channel0: number,
    channel1: number,
  ): boolean;
  close(): void;
  delete(): void;
}

interface Basis {
  initializeBasis(): void;
  KTX2File: new (bytes: Uint8Array) => KTX2File;
}

declare module "three/examples/jsm/libs/basis/basis_transcoder.js" {
  export default function BASIS(options: { wasmBinary: ArrayBuffer }): Promise<Basis>;
}
