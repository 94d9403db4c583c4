/** Checked reading of the extension's JSON, which comes from a stranger. */
import { AvatarFormatError } from "../errors.ts";
import type { Glb, Json } from "./glb.ts";

export const EXTENSION = "FLAMEPORT_avatar";
export const SPLATS = "KHR_gaussian_splatting";

export function fail(field: string): never {
  throw new AvatarFormatError(`${EXTENSION}: '${field}' is missing or has the wrong type. Export the avatar again.`);
}

export function text(value: Json, fallback: string): string {
  return typeof value === "string" ? value : fallback;
}

export function list(value: Json, field: string): Json[] {
  return Array.isArray(value) ? value : fail(field);
}

export function integer(value: Json, field: string, high: number): number {
  return Number.isInteger(value) && value >= 0 && value <= high ? value : fail(field);
}

export function choice<T extends string>(value: Json, field: string, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw new AvatarFormatError(`${EXTENSION}: '${field}' is “${value}”; this viewer knows ${allowed.join(", ")}.`);
}

export function onePrimitive(glb: Glb, mesh: Json, field: string): Json {
  const primitives = list(glb.item("meshes", mesh).primitives, field);
  return primitives.length === 1 ? primitives[0] : fail(field);
}
