// The public LAM renderer with its avatar and an expression track; counts the frames in which it drew.
import * as renderer from 'gaussian-splat-renderer-for-lam';

const drawn = (window.__drawn = []);
const context = WebGL2RenderingContext.prototype;
for (const name of ['drawElementsInstanced', 'drawArraysInstanced', 'drawElements', 'drawArrays']) {
  const original = context[name];
  context[name] = function (...args) {
    window.__drew = true;
    return original.apply(this, args);
  };
}
const request = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (callback) =>
  request((time) => {
    window.__drew = false;
    callback(time);
    if (window.__drew) drawn.push(performance.now());
  });

const track = await (await fetch('/assets/track.json')).json();
const start = performance.now();
await renderer.GaussianSplatRenderer.getInstance(document.getElementById('view'), '/assets/p2-1.zip', {
  getChatState: () => 'Idle',
  getExpressionData: () => {
    const frame = track.frames[Math.floor(((performance.now() - start) / 1000) * 30) % track.frames.length];
    return Object.fromEntries(track.names.map((name, i) => [name, frame.weights[i]]));
  },
  backgroundColor: '0xffffff',
  alpha: 1,
});
window.__ready = true;
