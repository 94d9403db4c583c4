/** Images of one size as the layers of one texture, decoded as bytes without any colour conversion. */
import type { LayerImage } from "../avatar/avatar.ts";
import { imageSize } from "../avatar/image_size.ts";
import { AvatarFormatError, DeviceError } from "../errors.ts";
import type { GL } from "./device.ts";

export type Channels = 1 | 3 | 4;

/** Bytes of the images of one layer, decoded. */
const MOST = 1 << 30;

/** Decode a picture as it is stored: no profile, no premultiplication. */
export async function decodeImage(image: LayerImage | Blob): Promise<ImageBitmap> {
  const blob = image instanceof Blob ? image : new Blob([image.bytes], { type: image.type });
  return createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => {
    throw new AvatarFormatError("An image of the avatar is damaged, or of a kind that this browser does not decode.");
  });
}

/** Bilinear between texel centres, held at the borders, no mip levels. */
export class ImageArray {
  readonly target: number;
  /** Bytes on the card. */
  readonly bytes: number;

  private constructor(
    private readonly gl: GL,
    readonly texture: WebGLTexture,
    readonly width: number,
    readonly height: number,
    readonly count: number,
    private readonly channels: Channels,
    /** Whether it holds blocks that single pixels cannot be written into. */
    readonly compressed: boolean,
    size: number,
  ) {
    this.target = gl.TEXTURE_2D_ARRAY;
    this.bytes = size;
  }

  /** Put images on the card, with `channels` bytes a texel where they do not stay compressed, as KTX2 may. */
  static async load(gl: GL, images: LayerImage[], channels: Channels, blocks = true): Promise<ImageArray> {
    const [width, height] = imageSize(images[0]);
    for (const image of images) {
      const [w, h] = imageSize(image);
      if (w !== width || h !== height) {
        throw new AvatarFormatError(
          `A mesh layer has images of ${width} x ${height} and ${w} x ${h}; one size is expected.`,
        );
      }
    }
    // A lost context knows no limits.
    const most = gl.getParameter(gl.MAX_TEXTURE_SIZE) ?? Number.POSITIVE_INFINITY;
    if (width > most || height > most) {
      throw new DeviceError(
        `The avatar has images of ${width} x ${height}; this device holds ${most} x ${most}. Export it with smaller ones.`,
      );
    }
    const many = gl.getParameter(gl.MAX_ARRAY_TEXTURE_LAYERS) ?? Number.POSITIVE_INFINITY;
    if (images.length > many) {
      throw new DeviceError(`A mesh layer mixes ${images.length} images; this device holds ${many} together.`);
    }
    if (width * height * images.length * channels > MOST) {
      throw new AvatarFormatError("A mesh layer's images are more than a gigabyte; this viewer does not read them.");
    }
    return blocks && images.every((image) => image.type === "image/ktx2")
      ? ImageArray.fromKtx2(gl, images, width, height)
      : ImageArray.fromPictures(gl, images, width, height, channels);
  }

  /** One image that `write` fills. */
  static empty(gl: GL, width: number, height: number, channels: Channels): ImageArray {
    const internal = { 1: gl.R8, 3: gl.RGB8, 4: gl.RGBA8 }[channels];
    return ImageArray.make(gl, internal, width, height, 1, channels, false);
  }

  private static async fromPictures(
    gl: GL,
    images: LayerImage[],
    width: number,
    height: number,
    channels: Channels,
  ): Promise<ImageArray> {
    const internal = { 1: gl.R8, 3: gl.RGB8, 4: gl.RGBA8 }[channels];
    const array = ImageArray.make(gl, internal, width, height, images.length, channels, false);
    try {
      // One after another, the next decoded while one is copied: the page goes on between them, and few are in memory.
      let coming = decodeOne(images[0]);
      for (let i = 0; i < images.length; i++) {
        const picture = await coming;
        if (i + 1 < images.length) {
          coming = decodeOne(images[i + 1]);
          coming.catch(() => {});
        }
        array.write(picture, i);
        if (picture instanceof ImageBitmap) picture.close();
      }
      return array;
    } catch (error) {
      array.dispose();
      throw error;
    }
  }

  private static async fromKtx2(gl: GL, images: LayerImage[], width: number, height: number): Promise<ImageArray> {
    const { transcode, blockFormat } = await import("../avatar/ktx2.ts");
    const format = blockFormat(gl);
    const parts = await Promise.all(images.map(({ bytes }) => transcode(bytes, format)));
    const array = ImageArray.make(gl, format.internal, width, height, images.length, 4, format.blocks);
    array.bound(() => {
      parts.forEach((data, i) => {
        if (format.blocks) {
          gl.compressedTexSubImage3D(array.target, 0, 0, 0, i, width, height, 1, format.internal, data);
        } else gl.texSubImage3D(array.target, 0, 0, 0, i, width, height, 1, gl.RGBA, gl.UNSIGNED_BYTE, data);
      });
    });
    return array;
  }

  private static make(
    gl: GL,
    internal: number,
    width: number,
    height: number,
    count: number,
    channels: Channels,
    compressed: boolean,
  ): ImageArray {
    const texel = compressed ? 1 : channels;
    const size = width * height * count * texel;
    const array = new ImageArray(gl, gl.createTexture(), width, height, count, channels, compressed, size);
    const { target } = array;
    array.bound(() => {
      gl.texStorage3D(target, 1, internal, width, height, count);
      for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(target, filter, gl.LINEAR);
      for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(target, wrap, gl.CLAMP_TO_EDGE);
    });
    return array;
  }

  /** Do `work` with the texture bound: images arrive while a host of the context draws, and it remembers what it bound. */
  private bound(work: () => void): void {
    const { gl, target } = this;
    const before = gl.getParameter(gl.TEXTURE_BINDING_2D_ARRAY) as WebGLTexture | null;
    plainUnpacking(gl);
    gl.bindTexture(target, this.texture);
    work();
    gl.bindTexture(target, before);
  }

  /** Replace one image by a picture of the same size. */
  write(picture: ImageBitmap | ImageData, index: number): void {
    const { gl, width, height } = this;
    if (picture.width !== width || picture.height !== height) {
      throw new AvatarFormatError(
        `A picture of ${width} x ${height} is wanted here, got ${picture.width} x ${picture.height}.`,
      );
    }
    const format = { 1: gl.RED, 3: gl.RGB, 4: gl.RGBA }[this.channels];
    this.bound(() => {
      gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
      gl.texSubImage3D(this.target, 0, 0, 0, index, width, height, 1, format, gl.UNSIGNED_BYTE, picture);
      gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
    });
  }

  dispose(): void {
    this.gl.deleteTexture(this.texture);
  }
}

/** Undo what a host of the context may have set: images decode while it draws. */
function plainUnpacking(gl: GL): void {
  gl.bindBuffer(gl.PIXEL_UNPACK_BUFFER, null);
  const { UNPACK_FLIP_Y_WEBGL, UNPACK_PREMULTIPLY_ALPHA_WEBGL, UNPACK_ROW_LENGTH, UNPACK_IMAGE_HEIGHT } = gl;
  for (const name of [UNPACK_FLIP_Y_WEBGL, UNPACK_PREMULTIPLY_ALPHA_WEBGL, UNPACK_ROW_LENGTH, UNPACK_IMAGE_HEIGHT])
    gl.pixelStorei(name, 0);
  for (const name of [gl.UNPACK_SKIP_ROWS, gl.UNPACK_SKIP_PIXELS, gl.UNPACK_SKIP_IMAGES]) gl.pixelStorei(name, 0);
}

/** Decode an image of any kind to plain pixels. */
export async function decodeOne(image: LayerImage): Promise<ImageBitmap | ImageData> {
  if (image.type !== "image/ktx2") return decodeImage(image);
  const { transcode, PLAIN } = await import("../avatar/ktx2.ts");
  const data = await transcode(image.bytes, PLAIN);
  return new ImageData(new Uint8ClampedArray(data.buffer, data.byteOffset, data.byteLength), ...imageSize(image));
}
