// SPDX-License-Identifier: Apache-2.0
// The first frame of a GIF: https://www.w3.org/Graphics/GIF/spec-gif89a.txt. Browsers show what the
// frame does not cover in another colour than Pillow.

import { ClassifierError } from './errors.mjs';
import { checkSize, damaged, truncated, viewOf } from './upright.mjs';

/** @typedef {import('./types.d.mts').Picture} Picture */

const MOST_CODES = 4096;

/**
 * Returns the first picture in the bytes of a GIF file.
 *
 * @param {Uint8Array} bytes
 * @param {string} name What to call it in errors.
 * @returns {Picture}
 * @throws {ClassifierError} It is damaged, truncated or too large.
 */
export function readGif(bytes, name) {
  try {
    return firstFrame(bytes, name);
  } catch (error) {
    if (error instanceof RangeError) throw truncated(name);
    throw error;
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {string} name
 * @returns {Picture}
 */
function firstFrame(bytes, name) {
  const view = viewOf(bytes);
  let at = 13;
  /** @type {Uint8Array} */
  let palette = new Uint8Array();
  const takePalette = (/** @type {number} */ flags) => {
    if ((flags & 0x80) === 0) return;
    palette = bytes.subarray(at, at + 3 * (2 << (flags & 7)));
    at += 3 * (2 << (flags & 7));
    if (at > bytes.length) throw truncated(name);
  };
  takePalette(view.getUint8(10));
  let clear = -1;
  for (let kind = view.getUint8(at++); kind !== 0x2c; kind = view.getUint8(at++)) {
    if (kind === 0x3b) throw new ClassifierError(`${name} is a GIF without a picture: replace it`);
    if (kind !== 0x21) continue;
    const label = view.getUint8(at++);
    if (label === 0xf9 && view.getUint8(at) >= 4 && view.getUint8(at + 1) & 1) {
      clear = view.getUint8(at + 4);
    }
    for (let length = view.getUint8(at); length > 0; length = view.getUint8(at)) at += 1 + length;
    at++;
  }
  const [left, top, columns, rows] = [0, 2, 4, 6].map((i) => view.getUint16(at + i, true));
  const width = Math.max(view.getUint16(6, true), left + columns);
  const height = Math.max(view.getUint16(8, true), top + rows);
  const flags = view.getUint8(at + 8);
  at += 9;
  takePalette(flags);
  checkSize(width, height, name);
  if (columns === 0 || rows === 0) throw new ClassifierError(`${name} has no pixels: replace it`);
  const indices = unpacked(bytes, at, columns * rows, name);
  const data = new Uint8Array(width * height * 3);
  const put = (/** @type {number} */ to, /** @type {number} */ index) => {
    for (let k = 0; k < 3; k++) {
      const level = palette.length === 0 ? index : (palette[3 * index + k] ?? 0);
      data[to + k] = index === clear ? 255 : level;
    }
  };
  if (columns * rows < width * height) {
    for (let to = 0; to < data.length; to += 3) put(to, clear < 0 ? 0 : clear);
  }
  rowOrder(rows, (flags & 0x40) !== 0).forEach((row, y) => {
    let to = ((top + row) * width + left) * 3;
    for (let x = 0; x < columns; x++, to += 3) put(to, indices[y * columns + x]);
  });
  return { data, width, height };
}

/**
 * Returns which row comes first, second and so on.
 *
 * @param {number} rows
 * @param {boolean} interlaced Every eighth row, those halfway between, and so on.
 * @returns {number[]}
 */
function rowOrder(rows, interlaced) {
  const order = [];
  const passes = interlaced ? [[0, 8], [4, 8], [2, 4], [1, 2]] : [[0, 1]];
  for (const [first, step] of passes) {
    for (let row = first; row < rows; row += step) order.push(row);
  }
  return order;
}

/**
 * Returns the indices that a chain of blocks holds: LZW, codes of at most 12 bits.
 *
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {number} count
 * @param {string} name
 * @returns {Uint8Array}
 */
function unpacked(bytes, at, count, name) {
  const bits = bytes[at++];
  if (!(bits >= 1 && bits <= 11)) throw damaged(name, 'the size of its codes');
  const clear = 1 << bits;
  const before = new Uint16Array(MOST_CODES);
  const last = new Uint8Array(MOST_CODES);
  const reversed = new Uint8Array(MOST_CODES + 1);
  const out = new Uint8Array(count);
  let [size, next, previous, first] = [bits + 1, clear + 2, -1, 0];
  let [held, buffer, left, to] = [0, 0, 0, 0];
  while (to < count) {
    while (held < size) {
      if (left === 0) left = bytes[at++] ?? 0;
      if (left === 0 || at >= bytes.length) throw truncated(name);
      buffer |= bytes[at++] << held;
      left--;
      held += 8;
    }
    const code = buffer & ((1 << size) - 1);
    buffer >>>= size;
    held -= size;
    if (code === clear) {
      [size, next, previous] = [bits + 1, clear + 2, -1];
      continue;
    }
    if (code === clear + 1) throw truncated(name);
    if (previous < 0 ? code >= clear : code > next) throw damaged(name, 'a code');
    let length = 0;
    let node = code;
    if (code === next) {
      reversed[length++] = first;
      node = previous;
    }
    for (; node >= clear; node = before[node]) reversed[length++] = last[node];
    first = node;
    reversed[length++] = first;
    if (previous >= 0 && next < MOST_CODES) {
      before[next] = previous;
      last[next] = first;
      next++;
      if (next === 1 << size && size < 12) size++;
    }
    previous = code;
    while (length > 0 && to < count) out[to++] = reversed[--length];
  }
  return out;
}
