// What the pages share: the query, the canvas, and where the camera stands.
export const query = new URLSearchParams(location.search);
export const canvas = document.getElementById("canvas");

/** When in the clip the head is to be shown; null shows the splats. */
export const seconds = query.has("seconds") ? Number(query.get("seconds")) : null;

/** Where a flameport camera (K in pixels, world_to_camera with OpenCV's axes) stands, for engines that look at a point. */
export async function readCamera() {
  const { K, world_to_camera: m, width, height } = await (await fetch(query.get("camera"))).json();
  const eye = [0, 1, 2].map((j) => -(m[0][j] * m[0][3] + m[1][j] * m[1][3] + m[2][j] * m[2][3]));
  return {
    eye,
    target: eye.map((x, j) => x + m[2][j]),
    up: [0, 1, 2].map((j) => -m[1][j]),
    fov: 2 * Math.atan(height / 2 / K[1][1]), // radians, of the height
    width,
    height,
  };
}

let frames = 0;
let first = 0;

/**
 * Call after each frame: tells the test what is on the canvas after a few of them, which is a second or more for engines
 * that sort beside the page.
 */
export function drawn(what, { enough = 8, seconds = 1 } = {}) {
  first ||= performance.now();
  if (++frames >= enough && performance.now() - first >= 1000 * seconds) window.shown ??= what();
}
