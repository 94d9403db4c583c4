// The public LAM renderer with its avatar and an expression track, which arrives after the first picture may be there.
import './meter.mjs';
import * as renderer from 'gaussian-splat-renderer-for-lam';

let track = null;
const start = performance.now();
fetch('/assets/track.json').then(async (answer) => (track = await answer.json()));
await renderer.GaussianSplatRenderer.getInstance(document.getElementById('view'), '/assets/p2-1.zip', {
  getChatState: () => 'Idle',
  getExpressionData: () => {
    if (!track) return {};
    const frame = track.frames[Math.floor(((performance.now() - start) / 1000) * 30) % track.frames.length];
    return Object.fromEntries(track.names.map((name, i) => [name, frame.weights[i]]));
  },
  backgroundColor: '0xffffff',
  alpha: 1,
});
