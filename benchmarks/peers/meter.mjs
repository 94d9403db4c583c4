// What every page is measured with, imported before the player: which animation frames drew, how long their scripts took,
// and how many bytes the player holds on the card.
const drawn = (window.__drawn = []);
const script = (window.__script = []);
let drew = false;
const request = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (callback) =>
  request((time) => {
    const start = performance.now();
    callback(time);
    if (!drew) return;
    drew = false;
    const end = performance.now();
    drawn.push(end);
    script.push(end - start);
    // The picture is on its way to the screen when the next frame but one begins.
    if (drawn.length === 1) request(() => request(() => (window.__first = performance.now())));
  });

const held = new Map(); // GPU object -> bytes
window.__gpuBytes = () => [...held.values()].reduce((sum, bytes) => sum + bytes, 0);
const { prototype } = WebGL2RenderingContext;
const SIZES = { RGBA32F: 16, RGBA32UI: 16, RGBA32I: 16, RGB32F: 12, RGB32UI: 12, RG32F: 8, RG32UI: 8, RGBA16F: 8, RGBA16UI: 8,
  RG16F: 4, R32F: 4, R32UI: 4, RGBA8: 4, SRGB8_ALPHA8: 4, RGBA: 4, RGB8: 3, RGB: 3, RG8: 2, R16F: 2, R8: 1, R8UI: 1,
  DEPTH_COMPONENT24: 4, DEPTH24_STENCIL8: 4, DEPTH_COMPONENT16: 2, DEPTH_COMPONENT32F: 4 };
const texel = new Map(Object.entries(SIZES).map(([name, size]) => [prototype[name], size]));
const sizeOf = (format) => texel.get(format) ?? 4;
const BINDINGS = { [prototype.TEXTURE_2D]: prototype.TEXTURE_BINDING_2D,
  [prototype.TEXTURE_2D_ARRAY]: prototype.TEXTURE_BINDING_2D_ARRAY, [prototype.TEXTURE_3D]: prototype.TEXTURE_BINDING_3D,
  [prototype.ARRAY_BUFFER]: prototype.ARRAY_BUFFER_BINDING,
  [prototype.ELEMENT_ARRAY_BUFFER]: prototype.ELEMENT_ARRAY_BUFFER_BINDING,
  [prototype.UNIFORM_BUFFER]: prototype.UNIFORM_BUFFER_BINDING,
  [prototype.PIXEL_PACK_BUFFER]: prototype.PIXEL_PACK_BUFFER_BINDING };
const bound = (gl, target) => gl.getParameter(BINDINGS[target] ?? prototype.TEXTURE_BINDING_CUBE_MAP);
function after(name, work) {
  const original = prototype[name];
  prototype[name] = function (...args) {
    const result = original.apply(this, args);
    work(this, ...args);
    return result;
  };
}
for (const name of ['drawElementsInstanced', 'drawArraysInstanced', 'drawElements', 'drawArrays']) after(name, () => (drew = true));
after('texStorage2D', (gl, target, levels, format, w, h) => held.set(bound(gl, target), sizeOf(format) * w * h * (levels > 1 ? 4 / 3 : 1)));
after('texStorage3D', (gl, target, levels, format, w, h, d) => held.set(bound(gl, target), sizeOf(format) * w * h * d));
after('texImage2D', (gl, target, level, format, w, h) => {
  if (level === 0 && typeof h === 'number' && target === gl.TEXTURE_2D) held.set(bound(gl, target), sizeOf(format) * w * h);
});
after('texImage3D', (gl, target, level, format, w, h, d) => level === 0 && held.set(bound(gl, target), sizeOf(format) * w * h * d));
after('bufferData', (gl, target, data) => held.set(bound(gl, target), typeof data === 'number' ? data : (data?.byteLength ?? 0)));
after('renderbufferStorage', (gl, target, format, w, h) =>
  held.set(gl.getParameter(gl.RENDERBUFFER_BINDING), sizeOf(format) * w * h));
for (const name of ['deleteTexture', 'deleteBuffer', 'deleteRenderbuffer']) after(name, (_, object) => held.delete(object));
