/** Thin owners of GPU objects: each is made and disposed in one place. */
import { DeviceError } from "../errors.ts";

export type GL = WebGL2RenderingContext;

/** Width of every table texture, texels; a table of n rows is `height(n)` texels high. */
export const WIDTH = 1024;

export function heightOf(count: number): number {
  return Math.max(1, Math.ceil(count / WIDTH));
}

// Samplers are low precision unless said otherwise, and Mesa and phones take that at its word.
const VERSION =
  "#version 300 es\nprecision highp float;precision highp int;precision highp sampler2D;precision highp usampler2D;precision highp sampler2DArray;\n";

/** Draws one triangle over the whole viewport. */
export const FULLSCREEN = "void main(){gl_Position=vec4(vec2(gl_VertexID&1,gl_VertexID>>1)*4.-1.,0,1);}";

/** What is made within `wholly`; null outside. */
let made: { dispose(): void }[] | null = null;

/** Return what `make` makes. Where that fails half way, what it had put on the card is freed. */
export function wholly<T>(make: () => T): T {
  const mine: { dispose(): void }[] = [];
  made = mine;
  try {
    return make();
  } catch (error) {
    for (const owned of mine) owned.dispose();
    throw error;
  } finally {
    made = null;
  }
}

/** Compiles while others work: what the driver thinks of the shaders is asked when the program is first used. */
export class Program {
  private readonly program: WebGLProgram;
  private shaders: WebGLShader[];
  private readonly uniforms = new Map<string, WebGLUniformLocation>();
  private units = 0;

  constructor(
    private readonly gl: GL,
    vertex: string,
    fragment: string,
  ) {
    this.program = gl.createProgram();
    made?.push(this);
    this.shaders = [this.compile(gl.VERTEX_SHADER, vertex), this.compile(gl.FRAGMENT_SHADER, fragment)];
    for (const shader of this.shaders) gl.attachShader(this.program, shader);
    gl.linkProgram(this.program);
  }

  private compile(kind: number, source: string): WebGLShader {
    const { gl } = this;
    const shader = gl.createShader(kind)!;
    gl.shaderSource(shader, VERSION + source);
    gl.compileShader(shader);
    return shader;
  }

  private finish(): void {
    const { gl, program, shaders } = this;
    this.shaders = [];
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      const logs = [gl.getProgramInfoLog(program), ...shaders.map((shader) => gl.getShaderInfoLog(shader))];
      throw new DeviceError(`The graphics driver refused a shader: ${logs.filter(Boolean).join(" ")}`);
    }
    for (const shader of shaders) gl.deleteShader(shader);
    const count = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) ?? 0;
    for (let i = 0; i < count; i++) {
      const { name } = gl.getActiveUniform(program, i)!;
      this.uniforms.set(name.replace("[0]", ""), gl.getUniformLocation(program, name)!);
    }
  }

  /** Make it current; textures are bound from unit 0 again. */
  use(): this {
    if (this.shaders.length) this.finish();
    this.gl.useProgram(this.program);
    this.units = 0;
    return this;
  }

  /** Bind a texture to a sampler, if the shader has it. */
  texture(name: string, table: { target: number; texture: WebGLTexture } | undefined): this {
    const at = this.uniforms.get(name);
    if (!at || !table) return this;
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0 + this.units);
    gl.bindTexture(table.target, table.texture);
    gl.uniform1i(at, this.units++);
    return this;
  }

  integers(name: string, ...v: number[]): this {
    const at = this.uniforms.get(name);
    if (at) this.gl[v.length === 1 ? "uniform1iv" : v.length === 2 ? "uniform2iv" : "uniform4iv"](at, v);
    return this;
  }

  floats(name: string, ...v: number[]): this {
    const at = this.uniforms.get(name);
    if (!at) return this;
    if (v.length === 1) this.gl.uniform1fv(at, v);
    else if (v.length === 2) this.gl.uniform2fv(at, v);
    else if (v.length === 3) this.gl.uniform3fv(at, v);
    else this.gl.uniform4fv(at, v);
    return this;
  }

  /** Set an array of vec4s; numbers that are left over are padded with zeros. */
  vectors(name: string, values: Float32Array): this {
    const at = this.uniforms.get(name);
    if (!at) return this;
    const whole = values.length % 4 ? new Float32Array(Math.ceil(values.length / 4) * 4) : values;
    if (whole !== values) whole.set(values);
    this.gl.uniform4fv(at, whole);
    return this;
  }

  /** Set a mat3 from row-major numbers. */
  matrix(name: string, rows: ArrayLike<number>): this {
    const at = this.uniforms.get(name);
    if (at) this.gl.uniformMatrix3fv(at, true, Float32Array.from(rows));
    return this;
  }

  dispose(): void {
    for (const shader of this.shaders) this.gl.deleteShader(shader);
    this.gl.deleteProgram(this.program);
  }
}

export type Format = "rgba32f" | "rgb32f" | "rg32f" | "r32f" | "rgba16f" | "rgba32ui" | "rg32ui" | "r32ui";

/** A texture that holds a table: texel i is at (i mod WIDTH, i / WIDTH); array tables have several layers. */
export class Table {
  readonly texture: WebGLTexture;
  readonly target: number;
  readonly height: number;
  private readonly channels: number;
  private readonly format: number;
  private readonly type: number;
  /** Bytes on the card. */
  readonly bytes: number;

  constructor(
    private readonly gl: GL,
    kind: Format,
    count: number,
    private readonly layers = 0,
  ) {
    const internal = { rgba32f: gl.RGBA32F, rgb32f: gl.RGB32F, rg32f: gl.RG32F, r32f: gl.R32F, rgba16f: gl.RGBA16F };
    const whole = { rgba32ui: gl.RGBA32UI, rg32ui: gl.RG32UI, r32ui: gl.R32UI };
    const isWhole = kind.endsWith("ui");
    this.channels = kind.startsWith("rgba") ? 4 : kind.startsWith("rgb") ? 3 : kind.startsWith("rg") ? 2 : 1;
    const formats = isWhole
      ? [0, gl.RED_INTEGER, gl.RG_INTEGER, gl.RGB_INTEGER, gl.RGBA_INTEGER]
      : [0, gl.RED, gl.RG, gl.RGB, gl.RGBA];
    this.format = formats[this.channels];
    this.type = isWhole ? gl.UNSIGNED_INT : gl.FLOAT;
    this.height = heightOf(count);
    this.target = layers ? gl.TEXTURE_2D_ARRAY : gl.TEXTURE_2D;
    // A lost context knows no limits.
    const most = gl.getParameter(gl.MAX_TEXTURE_SIZE) ?? Number.POSITIVE_INFINITY;
    if (this.height > most)
      throw new DeviceError(`The avatar needs tables ${this.height} texels high; this device has ${most}.`);
    if (layers > (gl.getParameter(gl.MAX_ARRAY_TEXTURE_LAYERS) ?? Number.POSITIVE_INFINITY)) {
      throw new DeviceError(`The avatar's dynamics have ${layers} parts, more than this device can hold.`);
    }
    this.texture = gl.createTexture();
    made?.push(this);
    gl.bindTexture(this.target, this.texture);
    const sized = { ...internal, ...whole }[kind];
    if (layers) gl.texStorage3D(this.target, 1, sized, WIDTH, this.height, layers);
    else gl.texStorage2D(this.target, 1, sized, WIDTH, this.height);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
      gl.texParameteri(this.target, filter, gl.NEAREST);
    this.bytes = WIDTH * this.height * Math.max(1, layers) * this.channels * (kind === "rgba16f" ? 2 : 4);
  }

  /** Write the first texels of a layer; `data` may end within a row. */
  write(data: Float32Array | Uint32Array, layer = 0): this {
    const { gl, channels } = this;
    const row = WIDTH * channels;
    gl.bindTexture(this.target, this.texture);
    const rows = Math.floor(data.length / row);
    const put = (y: number, w: number, h: number, part: Float32Array | Uint32Array) => {
      if (!w || !h) return;
      if (this.layers) gl.texSubImage3D(this.target, 0, 0, y, layer, w, h, 1, this.format, this.type, part);
      else gl.texSubImage2D(this.target, 0, 0, y, w, h, this.format, this.type, part);
    };
    put(0, WIDTH, rows, data.subarray(0, rows * row));
    put(rows, (data.length - rows * row) / channels, 1, data.subarray(rows * row));
    return this;
  }

  dispose(): void {
    this.gl.deleteTexture(this.texture);
  }
}

/** A framebuffer that writes several tables or pictures at once. */
export class Target {
  readonly framebuffer: WebGLFramebuffer;

  constructor(
    private readonly gl: GL,
    textures: WebGLTexture[],
  ) {
    this.framebuffer = gl.createFramebuffer();
    made?.push(this);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.framebuffer);
    textures.forEach((texture, i) => {
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0 + i, gl.TEXTURE_2D, texture, 0);
    });
    gl.drawBuffers(textures.map((_, i) => gl.COLOR_ATTACHMENT0 + i));
    const status = gl.checkFramebufferStatus(gl.FRAMEBUFFER);
    if (status !== gl.FRAMEBUFFER_COMPLETE && !gl.isContextLost()) {
      throw new DeviceError(`This device cannot draw into floating-point textures (status ${status}).`);
    }
  }

  dispose(): void {
    this.gl.deleteFramebuffer(this.framebuffer);
  }
}
