/** How a face's sliders are grouped: by the part of the face that they move. Pure: no page. */

import type { Head } from "../avatar/avatar.ts";
import { ARKIT_52 } from "../driving/arkit.ts";

export interface Shape {
  /** The name that programs use. */
  name: string;
  label: string;
  low: number;
  high: number;
  /** Through the head's ARKit map instead of being one of its own expressions. */
  viaMap: boolean;
}

export interface Region {
  title: string;
  shapes: Shape[];
  /** Shapes beyond this many are shown when asked for. */
  first: number;
  /** What the order means, where it is not that of the file. */
  note: string;
}

const PARTS: [string, RegExp][] = [
  ["Brows", /^brow/i],
  ["Eyes", /^eye/i],
  ["Jaw", /^jaw/i],
  ["Mouth", /^(mouth|lips?|tongue|smile)/i],
  ["Cheeks", /^cheek/i],
  ["Nose", /^nose/i],
];
/** A model's components without names of their own, strongest first: these are seen at once. */
const STRONGEST = 12;

/** Return the regions of a head that have shapes, ARKit's first. */
export function regionsOf(head: Head): Region[] {
  const viaMap = head.arkitMap !== null && !head.edition.startsWith("arkit");
  const known = new Set(ARKIT_52);
  const named: Shape[] = viaMap ? ARKIT_52.map((name) => shape(name, true)) : [];
  const rest: { shape: Shape; energy: number }[] = [];
  head.exprNames.forEach((name, i) => {
    if (viaMap && known.has(name)) return;
    if (isNumbered(name)) rest.push({ shape: numbered(name), energy: energyOf(head, i) });
    else named.push(shape(name, false));
  });
  const regions: Region[] = PARTS.map(([title]) => ({ title, shapes: [], first: Number.POSITIVE_INFINITY, note: "" }));
  const others: Shape[] = [];
  for (const one of named) {
    const at = PARTS.findIndex(([, pattern]) => pattern.test(one.name));
    if (at < 0) others.push(one);
    else regions[at].shapes.push(one);
  }
  regions.push({ title: "More", shapes: others, first: Number.POSITIVE_INFINITY, note: "" });
  rest.sort((a, b) => b.energy - a.energy);
  const note = "The head model's own components, those that move most first.";
  regions.push({ title: "Expressions", shapes: rest.map((one) => one.shape), first: STRONGEST, note });
  return regions.filter(({ shapes }) => shapes.length);
}

function shape(name: string, viaMap: boolean): Shape {
  const whole = viaMap || ARKIT_52.includes(name);
  return { name, label: words(name), low: whole ? 0 : -3, high: whole ? 1 : 3, viaMap };
}

/** A name that says no more than which one it is: expr007, expression 12, exp3. */
function isNumbered(name: string): boolean {
  return /^(e|exp|expr|expression|bs|id)?[\s_-]?\d+$/i.test(name);
}

function numbered(name: string): Shape {
  return { name, label: `Expression ${Number(/\d+/.exec(name)![0]) + 1}`, low: -3, high: 3, viaMap: false };
}

/** Return how far an expression moves the head: the sum of squared metres over its vertices. */
export function energyOf(head: Head, index: number): number {
  let sum = 0;
  for (const value of head.expressions[index].values) sum += value * value;
  return sum;
}

/** Return a camel-case or snake-case name as words: browDownLeft, Brow down left. */
export function words(name: string): string {
  const spaced = name
    .replace(/[_-]+/g, " ")
    .replace(/([a-z])([A-Z0-9])/g, "$1 $2")
    .toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}
