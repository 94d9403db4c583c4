// Our player: ?avatar=lam.glb&clip=clip.json&camera=camera.json; without a camera it stands in front of the avatar. Without a
// clip an expression swings, so that every frame is posed, ordered and drawn anew.
import './meter.mjs';
import { loadAvatar, loadJson } from '../../web_viewer/src/avatar/load.ts';
import { Player } from '../../web_viewer/src/player.ts';

const query = new URLSearchParams(location.search);
const json = (name) => query.get(name) && loadJson(`/assets/${query.get(name)}`);
// What takes time to arrive is asked for first; the context is made meanwhile.
const avatar = loadAvatar(`/assets/${query.get('avatar')}`);
const camera = json('camera');
const canvas = document.createElement('canvas');
canvas.width = canvas.height = 512;
document.getElementById('view').append(canvas);
const player = new Player(canvas);
player.setAvatar(await avatar);
if (camera) player.setCamera(await camera);
if (query.get('clip')) {
  player.setSequence(await json('clip'));
  player.play();
} else {
  const [name] = player.avatar.head.exprNames;
  const swing = () => {
    player.setExpression(name, Math.sin(performance.now() / 300));
    setTimeout(swing, 1);
  };
  swing();
}
window.__stats = () => player.stats;
