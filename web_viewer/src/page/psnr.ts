/** How far two pictures are apart, as `formats.picture.psnr` defines it. */

/** Return decibels over red, green and blue of RGBA bytes; infinity when they are equal. */
export function psnr(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    if (i % 4 === 3) continue;
    const d = (a[i] - b[i]) / 255;
    sum += d * d;
  }
  return -10 * Math.log10(sum / ((a.length / 4) * 3));
}

/** Return decibels in words. */
export function decibels(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(1)} dB` : "equal";
}
