/** Readers of what few avatars have: mesh layers, strands, networks and decoders. A chunk of its own. */
export { readMeshLayer } from "./mesh_layers.ts";
export { joinNetworks, readNetworks } from "./network_file.ts";
export { readStrands } from "./strands.ts";
