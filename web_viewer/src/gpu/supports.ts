/** What WebGPU draws here. */
import type { Avatar } from "../avatar/avatar.ts";

/** Return why an avatar cannot be drawn with WebGPU, or null. */
export function supports({ meshes, layers, decoder }: Avatar): string | null {
  const networks = layers.some(({ dynamics }) => dynamics?.live || dynamics?.network);
  const what = meshes.length ? "mesh layers" : decoder ? "a picture decoder" : networks ? "networks" : null;
  return what && `The avatar has ${what}, which only WebGL2 draws here.`;
}
