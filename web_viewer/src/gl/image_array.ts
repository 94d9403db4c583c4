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
    const most = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    if (width > most || height > most || images.length > gl.getParameter(gl.MAX_ARRAY_TEXTURE_LAYERS)) {
      throw new DeviceError(
        `The avatar has ${images.length} images of ${width} x ${height}; this device holds ${most}.`,
      );
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
    // The texture is made last: until then nothing has to be given back when an image is damaged.
    const pictures = await Promise.all(images.map(decodeOne));
    const internal = { 1: gl.R8, 3: gl.RGB8, 4: gl.RGBA8 }[channels];
    const array = ImageArray.make(gl, internal, width, height, images.length, channels, false);
    pictures.forEach((picture, i) => {
      array.write(picture, i);
      if (picture instanceof ImageBitmap) picture.close();
    });
    return array;
  }

  private static async fromKtx2(gl: GL, images: LayerImage[], width: number, height: number): Promise<ImageArray> {
    const { transcode, blockFormat } = await import("../avatar/ktx2.ts");
    const format = blockFormat(gl);
    const parts = await Promise.all(images.map(({ bytes }) => transcode(bytes, format)));
    plainUnpacking(gl);
    const array = ImageArray.make(gl, format.internal, width, height, images.length, 4, format.blocks);
    parts.forEach((data, i) => {
      if (format.blocks) {
        gl.compressedTexSubImage3D(array.target, 0, 0, 0, i, width, height, 1, format.internal, data);
      } else gl.texSubImage3D(array.target, 0, 0, 0, i, width, height, 1, gl.RGBA, gl.UNSIGNED_BYTE, data);
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
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture);
    gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, internal, width, height, count);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
      gl.texParameteri(gl.TEXTURE_2D_ARRAY, filter, gl.LINEAR);
    }
    for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) {
      gl.texParameteri(gl.TEXTURE_2D_ARRAY, wrap, gl.CLAMP_TO_EDGE);
    }
    const texel = compressed ? 1 : channels;
    return new ImageArray(gl, texture, width, height, count, channels, compressed, width * height * count * texel);
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
    plainUnpacking(gl);
    gl.bindTexture(this.target, this.texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage3D(this.target, 0, 0, 0, index, width, height, 1, format, gl.UNSIGNED_BYTE, picture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
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
