/** Random numbers that are the same everywhere for a seed. */
export type Random = () => number;

/** Return a generator of numbers in 0..1 for whole seeds: a 32-bit counter through a mixing function (splitmix). */
export function randomOf(...seeds: number[]): Random {
  let state = seeds.reduce((sum, seed) => mix((sum ^ seed) + 0x9e3779b9), 0);
  return () => {
    state = (state + 0x9e3779b9) | 0;
    return mix(state) / 2 ** 32;
  };
}

function mix(value: number): number {
  let z = value | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

/** Return a number of the standard normal distribution (Box and Muller). */
export function normalOf(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
