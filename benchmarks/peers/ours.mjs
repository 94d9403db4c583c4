// Our player with the same avatar, track, size and camera; counts the frames in which it drew.
import { loadAvatar, loadJson } from '../../web_viewer/src/load.ts';
import { Player } from '../../web_viewer/src/player.ts';

const drawn = (window.__drawn = []);
const canvas = document.createElement('canvas');
canvas.width = canvas.height = 512;
document.getElementById('view').append(canvas);
const player = new Player(canvas);
player.onFrame = () => drawn.push(performance.now());
player.setAvatar(await loadAvatar('/assets/lam.glb'));
player.setSequence(await loadJson('/assets/clip.json'));
player.setCamera(await loadJson('/assets/camera.json'));
player.play();
window.__ready = true;
