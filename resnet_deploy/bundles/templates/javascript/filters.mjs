// SPDX-License-Identifier: Apache-2.0
// Pillow's filters for resizing.

/**
 * How far a filter reaches, and its weight at a distance; both in pixels of the smaller size.
 *
 * @typedef {object} Filter
 * @property {number} reach
 * @property {(x: number) => number} weight
 */

/** @param {number} x */
function box(x) {
  return x > -0.5 && x <= 0.5 ? 1 : 0;
}

/** @param {number} x */
function bilinear(x) {
  const distance = Math.abs(x);
  return distance < 1 ? 1 - distance : 0;
}

/** @param {number} x */
function bicubic(x) {
  const a = -0.5;
  const distance = Math.abs(x);
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * a;
  return 0;
}

/** @param {number} x */
function sinc(x) {
  if (x === 0) return 1;
  const angle = x * Math.PI;
  return Math.sin(angle) / angle;
}

/** @param {number} x */
function lanczos(x) {
  return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

/** By name; without "nearest", which weighs nothing. */
export const FILTERS = Object.freeze({
  box: { reach: 0.5, weight: box },
  bilinear: { reach: 1, weight: bilinear },
  bicubic: { reach: 2, weight: bicubic },
  lanczos: { reach: 3, weight: lanczos },
});
