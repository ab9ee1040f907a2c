// SPDX-License-Identifier: Apache-2.0
// Resizing as Pillow does it, bit for bit: the network was trained and measured with its pictures.
//
// The algorithm is that of Pillow's src/libImaging/Resample.c (Geometry.c for "nearest"): a pass
// within rows and one within columns, 8 bits between them, weights in fixed point.

import { ClassifierError } from './errors.mjs';
import { FILTERS } from './filters.mjs';

/** @typedef {import('./filters.mjs').Filter} Filter */
/** @typedef {import('./types.d.mts').Picture} Picture */
/** @typedef {import('./types.d.mts').Preprocess} Preprocess */

/**
 * Pixels of three channels, or of one: as a `Picture`, with `channels` values a pixel.
 *
 * @typedef {Picture & { readonly channels: 1 | 3 }} Pixels
 */

/** @typedef {Pixels & { readonly data: Uint8Array }} Resized */

/**
 * A part of a picture, in pixels.
 *
 * @typedef {object} Window
 * @property {number} left
 * @property {number} top
 * @property {number} width
 * @property {number} height
 */

/**
 * Some rows or columns.
 *
 * @typedef {object} Span
 * @property {number} start
 * @property {number} length
 */

/**
 * What each output position of one axis is made of: `count[i]` input positions from `first[i]`,
 * weighted by `weights` from `i * stride`.
 *
 * @typedef {object} Taps
 * @property {Int32Array} first
 * @property {Int32Array} count
 * @property {Int32Array} weights
 * @property {number} stride
 */

// A sum of 8-bit values times such weights, which add up to about 1, still fits 32 bits.
const FRACTION_BITS = 32 - 8 - 2;
const ONE = 2 ** FRACTION_BITS;
const HALF = ONE / 2;

/**
 * Returns `pixels` resized to `width` x `height`, or `window` of that: as Pillow's
 * `Image.resize((width, height), interpolation)`, then `Image.crop`.
 *
 * @param {Pixels} pixels
 * @param {number} width At least 1.
 * @param {number} height At least 1.
 * @param {Preprocess['interpolation']} interpolation
 * @param {Window} [window] Inside of `width` x `height`. Only its pixels are computed.
 * @returns {Resized} A picture of its own: nothing is shared with `pixels`.
 * @throws {ClassifierError} The interpolation is unknown.
 */
export function resize(
  pixels,
  width,
  height,
  interpolation,
  window = { left: 0, top: 0, width, height },
) {
  if (interpolation === 'nearest') return nearest(pixels, width, height, window);
  if (!Object.hasOwn(FILTERS, interpolation)) {
    throw new ClassifierError(`interpolation ${JSON.stringify(interpolation)} is unknown`);
  }
  const filter = FILTERS[interpolation];
  const across = taps(pixels.width, width, window.left, window.width, filter);
  const down = taps(pixels.height, height, window.top, window.height, filter);
  const lost = pixels.height - height;
  // Rounding makes the order show. Pillow has this rule since 13.0; before, rows came first always.
  if (lost > 0 && lost > 2 * (pixels.width - width)) {
    const columns = reached(across);
    const low = vertically(pixels, down, columns);
    return horizontally(low, moved(across, columns.start), { start: 0, length: low.height });
  }
  const rows = reached(down);
  const narrow = horizontally(pixels, across, rows);
  return vertically(narrow, moved(down, rows.start), { start: 0, length: narrow.width });
}

/**
 * Returns the weights for output positions `start` to `start + length` of an axis.
 *
 * @param {number} size Of the input.
 * @param {number} newSize Of the whole output.
 * @param {number} start
 * @param {number} length
 * @param {Filter} filter
 * @returns {Taps}
 */
function taps(size, newSize, start, length, filter) {
  // Pillow leaves out a pass that would change nothing.
  if (size === newSize) return copyingTaps(start, length);
  const scale = size / newSize;
  // Making smaller, the filter is stretched over all pixels that become one: antialiasing.
  const stretch = Math.max(scale, 1);
  const reach = filter.reach * stretch;
  const shrink = 1 / stretch;
  const stride = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(length);
  const count = new Int32Array(length);
  const weights = new Int32Array(length * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < length; i++) {
    const centre = (start + i + 0.5) * scale;
    const from = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const to = Math.min(Math.trunc(centre + reach + 0.5), size);
    let sum = 0;
    for (let j = 0; j < to - from; j++) {
      const weight = filter.weight((j + from - centre + 0.5) * shrink);
      exact[j] = weight;
      sum += weight;
    }
    for (let j = 0; j < to - from; j++) {
      const part = exact[j] / (sum === 0 ? 1 : sum);
      // Rounded half away from zero, which Math.round() does not do.
      weights[i * stride + j] = Math.trunc(part * ONE + (part < 0 ? -0.5 : 0.5));
    }
    first[i] = from;
    count[i] = to - from;
  }
  return { first, count, weights, stride };
}

/**
 * @param {number} start
 * @param {number} length
 * @returns {Taps}
 */
function copyingTaps(start, length) {
  return {
    first: Int32Array.from({ length }, (_, i) => start + i),
    count: new Int32Array(length).fill(1),
    weights: new Int32Array(length).fill(ONE),
    stride: 1,
  };
}

/**
 * Returns which input positions are used at all.
 *
 * @param {Taps} taps
 * @returns {Span}
 */
function reached({ first, count }) {
  const last = first.length - 1;
  return { start: first[0], length: first[last] + count[last] - first[0] };
}

/**
 * Returns `taps` for an input that starts `by` later.
 *
 * @param {Taps} taps
 * @param {number} by
 * @returns {Taps}
 */
function moved(taps, by) {
  return { ...taps, first: taps.first.map((position) => position - by) };
}

/** @param {number} sum */
function toByte(sum) {
  const level = sum >> FRACTION_BITS;
  return level < 0 ? 0 : level > 255 ? 255 : level;
}

/**
 * Returns some rows of `pixels` in another width.
 *
 * @param {Pixels} pixels
 * @param {Taps} across
 * @param {Span} rows
 * @returns {Resized}
 */
function horizontally(pixels, across, rows) {
  const { channels } = pixels;
  const width = across.first.length;
  const data = channels === 1 ? grey(pixels, across, rows) : coloured(pixels, across, rows);
  return { data, width, height: rows.length, channels };
}

/**
 * @param {Pixels} pixels
 * @param {Taps} across
 * @param {Span} rows
 * @returns {Uint8Array}
 */
function grey(pixels, across, rows) {
  const { data } = pixels;
  const { first, count, weights, stride } = across;
  const width = first.length;
  const out = new Uint8Array(rows.length * width);
  for (let y = 0; y < rows.length; y++) {
    const row = (rows.start + y) * pixels.width;
    for (let x = 0; x < width; x++) {
      let level = HALF;
      let at = row + first[x];
      const end = x * stride + count[x];
      for (let j = x * stride; j < end; j++, at++) level += data[at] * weights[j];
      out[y * width + x] = toByte(level);
    }
  }
  return out;
}

/**
 * @param {Pixels} pixels
 * @param {Taps} across
 * @param {Span} rows
 * @returns {Uint8Array}
 */
function coloured(pixels, across, rows) {
  const { data } = pixels;
  const { first, count, weights, stride } = across;
  const width = first.length;
  const out = new Uint8Array(rows.length * width * 3);
  for (let y = 0; y < rows.length; y++) {
    const row = (rows.start + y) * pixels.width;
    for (let x = 0; x < width; x++) {
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      let at = (row + first[x]) * 3;
      const end = x * stride + count[x];
      for (let j = x * stride; j < end; j++, at += 3) {
        const weight = weights[j];
        red += data[at] * weight;
        green += data[at + 1] * weight;
        blue += data[at + 2] * weight;
      }
      const to = (y * width + x) * 3;
      out[to] = toByte(red);
      out[to + 1] = toByte(green);
      out[to + 2] = toByte(blue);
    }
  }
  return out;
}

/**
 * Returns some columns of `pixels` in another height.
 *
 * @param {Pixels} pixels
 * @param {Taps} down
 * @param {Span} columns
 * @returns {Resized}
 */
function vertically(pixels, down, columns) {
  const { data, channels } = pixels;
  const { first, count, weights, stride } = down;
  const height = first.length;
  const pitch = columns.length * channels;
  const out = new Uint8Array(height * pitch);
  const sums = new Int32Array(pitch);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let j = 0; j < count[y]; j++) {
      const weight = weights[y * stride + j];
      const at = ((first[y] + j) * pixels.width + columns.start) * channels;
      for (let x = 0; x < pitch; x++) sums[x] += data[at + x] * weight;
    }
    for (let x = 0; x < pitch; x++) out[y * pitch + x] = toByte(sums[x]);
  }
  return { data: out, width: columns.length, height, channels };
}

/**
 * @param {Pixels} pixels
 * @param {number} width
 * @param {number} height
 * @param {Window} window
 * @returns {Resized}
 */
function nearest(pixels, width, height, window) {
  const { data, channels } = pixels;
  const columns = nearestPositions(pixels.width, width, window.left, window.width);
  const rows = nearestPositions(pixels.height, height, window.top, window.height);
  const out = new Uint8Array(window.width * window.height * channels);
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      const at = (row * pixels.width + column) * channels;
      out.set(data.subarray(at, at + channels), to);
      to += channels;
    }
  }
  return { data: out, width: window.width, height: window.height, channels };
}

/**
 * @param {number} size
 * @param {number} newSize
 * @param {number} start
 * @param {number} length
 * @returns {Int32Array}
 */
function nearestPositions(size, newSize, start, length) {
  const scale = size / newSize;
  const positions = new Int32Array(length);
  // Pillow adds the step up instead of multiplying, rounding errors and all.
  let position = scale * 0.5;
  for (let i = 0; i < start + length; i++) {
    if (i >= start) positions[i - start] = Math.trunc(position);
    position += scale;
  }
  return positions;
}
