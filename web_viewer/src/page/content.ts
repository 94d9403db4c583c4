/** What the page begins with: what its address names, or else what a manifest beside it names. */

import type { Json } from "../avatar/glb.ts";
import { ViewerError } from "../errors.ts";

/** What there is to show at first. */
export interface Content {
  avatar: string | null;
  clips: { name: string; file: string }[];
  camera: string | null;
  /** A `reference.json`, to compare with. */
  reference: string | null;
  /** A picture of the first moment, to be seen until the avatar is. */
  poster: string | null;
  /** Without title, tools and panel: the page is a frame in another one. */
  bare: boolean;
}

/** Return what there is to show. Throws `ViewerError`. */
export async function findContent(): Promise<Content> {
  const query = new URLSearchParams(location.search);
  const bare = query.get("ui") === "none";
  const named = (key: string) => {
    const address = query.get(key);
    // The address of a page is anybody's to write: it may name files, not scripts or pages of another kind.
    if (address !== null && !/^https?:$/.test(new URL(address, location.href).protocol)) {
      throw new ViewerError(`The page's address names “${address}” as its ${key}; expected a file beside the page.`);
    }
    return address;
  };
  if (query.has("avatar")) {
    const clip = named("sequence");
    const clips = clip ? [{ name: "clip", file: clip }] : [];
    return {
      avatar: named("avatar"),
      clips,
      camera: named("camera"),
      reference: named("reference"),
      poster: null,
      bare,
    };
  }
  const response = await fetch("manifest.json").catch(() => null);
  if (!response?.ok) return { avatar: null, clips: [], camera: null, reference: null, poster: null, bare };
  const manifest: Json = await response.json().catch(() => null);
  if (typeof manifest?.avatar !== "string") throw new ViewerError("manifest.json beside this page names no avatar.");
  const clips = (Array.isArray(manifest.sequences) ? manifest.sequences : []).filter(
    (clip: Json) => typeof clip?.name === "string" && typeof clip.file === "string",
  );
  const text = (value: Json) => (typeof value === "string" ? value : null);
  const [camera, reference, poster] = [manifest.camera, manifest.reference, manifest.poster].map(text);
  return { avatar: manifest.avatar, clips, camera, reference, poster, bare };
}
