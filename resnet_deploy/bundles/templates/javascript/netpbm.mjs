// SPDX-License-Identifier: Apache-2.0
// Binary PPM (P6), PGM (P5) and PBM (P4) pictures: https://netpbm.sourceforge.net/doc/ppm.html

import { ClassifierError } from './errors.mjs';
import { checkSize } from './upright.mjs';

/** @typedef {import('./types.d.mts').Picture} Picture */

const NEWLINE = 0x0a;
const HASH = 0x23;

/** @param {number} byte */
const isSpace = (byte) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);

/**
 * Returns the picture in the bytes of a PPM, PGM or PBM file; grey becomes RGB. Values up to 65535
 * become those of 8 bits as Python rounds them.
 *
 * @param {Uint8Array} bytes
 * @param {string} [name] What to call it in errors.
 * @returns {Picture}
 * @throws {ClassifierError} It is something else, has no pixels, is cut short or too large.
 */
export function readNetpbm(bytes, name = 'the picture') {
  const magic = String.fromCharCode(...bytes.subarray(0, 2));
  if (!['P4', 'P5', 'P6'].includes(magic)) {
    throw new ClassifierError(`${name} is not a binary PPM (P6), PGM (P5) or PBM (P4) picture`);
  }
  const [width, height, largest, start] = header(bytes, magic === 'P4' ? 2 : 3, name);
  checkSize(width, height, name);
  if (largest < 1 || largest > 65535) {
    throw new ClassifierError(`${name} has values up to ${largest}: save it with 8 bits (255)`);
  }
  const channels = magic === 'P6' ? 3 : 1;
  const step = largest > 255 ? 2 : 1;
  const line = magic === 'P4' ? Math.ceil(width / 8) : width * channels * step;
  const wanted = height * line;
  const found = bytes.length - start;
  if (found < wanted) {
    throw new ClassifierError(
      `${name} is cut short: ${width}x${height} pixels need ${wanted} bytes, it has ${found}`,
    );
  }
  const body = bytes.subarray(start, start + wanted);
  if (magic === 'P6' && largest === 255) return { data: body.slice(), width, height };
  const data = new Uint8Array(width * height * 3);
  for (let i = 0, to = 0; to < data.length; i++) {
    let level;
    if (magic === 'P4') {
      const x = i % width;
      level = (body[((i - x) / width) * line + (x >> 3)] >> (7 - (x & 7))) & 1 ? 0 : 255;
    } else {
      const value = step === 1 ? body[i] : body[2 * i] * 256 + body[2 * i + 1];
      level = scaled(value, largest, channels);
    }
    const end = to + 3 / channels;
    while (to < end) data[to++] = level;
  }
  return { data, width, height };
}

/**
 * Returns a value in 8 bits. Grey ones of more are scaled to 16 bits first, as Pillow has them.
 *
 * @param {number} value
 * @param {number} largest
 * @param {number} channels
 */
function scaled(value, largest, channels) {
  if (largest === 255) return value;
  if (largest < 256 || channels === 3) return Math.min(255, toEven((value / largest) * 255));
  const deep = largest === 65535 ? value : Math.min(65535, toEven((value / largest) * 65535));
  return Math.floor((deep * 255 + 32767) / 65535);
}

/**
 * Rounds to the nearest whole number, a half to the even one, as Python's round() does it.
 *
 * @param {number} value 0 or more.
 */
function toEven(value) {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}

/**
 * Returns width, height, the largest value and where the pixels start.
 *
 * @param {Uint8Array} bytes
 * @param {number} count How many numbers there are; a bitmap has no largest value.
 * @param {string} name
 * @returns {[number, number, number, number]}
 */
function header(bytes, count, name) {
  let at = 2;
  const numbers = [0, 0, 1];
  for (let i = 0; i < count; i++) {
    while (isSpace(bytes[at]) || bytes[at] === HASH) {
      if (bytes[at] === HASH) {
        while (at < bytes.length && bytes[at] !== NEWLINE) at++;
      } else {
        at++;
      }
    }
    const first = at;
    // Nine digits are more than any picture has, and can't overflow.
    while (at - first < 9 && bytes[at] >= 0x30 && bytes[at] <= 0x39) at++;
    if (at === first) throw new ClassifierError(`${name} has a broken header`);
    numbers[i] = Number(String.fromCharCode(...bytes.subarray(first, at)));
  }
  if (!isSpace(bytes[at])) throw new ClassifierError(`${name} has a broken header`);
  const [width, height, largest] = numbers;
  return [width, height, largest, at + 1];
}
