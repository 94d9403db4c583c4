// A page of the player's inner parts, bundled by test_core.py: what no page shows, tests can reach.
import { loadAvatar } from "../../web_viewer/src/load.ts";
import { Player } from "../../web_viewer/src/player.ts";
import { Renderer } from "../../web_viewer/src/gl/renderer.ts";
import { cameraOf, fitCamera, positionOf } from "../../web_viewer/src/camera.ts";
import { Pose } from "../../web_viewer/src/pose.ts";
import { readSequence } from "../../web_viewer/src/driving/sequence_json.ts";

const json = async (name) => (await fetch(`files/${name}`)).json();

/** Where a camera file looks from, and a pose of a clip. */
async function scene(name, t) {
  const avatar = await loadAvatar(`files/${name}.glb`);
  const from = cameraOf((await json(`${name}.json`)).camera);
  const camera = fitCamera(from, from.width, from.height);
  const { rotation, translation, fx, fy, cx, cy } = camera;
  const view = {
    rotation, translation, eye: positionOf(camera), intrinsics: [fx, fy, cx, cy],
    width: from.width, height: from.height, near: 0.05,
  };
  const sequence = readSequence(await json(`${name}.clip.json`), avatar.head);
  const pose = new Pose(avatar.head);
  sequence.sample(t, pose, sequence.columns(avatar.head));
  return { avatar, view, pose };
}

window.flameport = { loadAvatar, Player, Renderer, scene, json };
