// SPDX-License-Identifier: Apache-2.0
// Binary PPM (P6) and PGM (P5) pictures: https://netpbm.sourceforge.net/doc/ppm.html

import { ClassifierError } from './errors.mjs';

/** @typedef {import('./types.d.mts').Picture} Picture */

const NEWLINE = 0x0a;
const HASH = 0x23;

/** @param {number} byte */
const isSpace = (byte) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);

/**
 * Returns the picture in the bytes of a PPM or PGM file with 8 bits per value; grey becomes RGB.
 *
 * @param {Uint8Array} bytes
 * @param {string} [name] What to call it in errors.
 * @returns {Picture}
 * @throws {ClassifierError} It is something else, has no pixels, or is cut short.
 */
export function readNetpbm(bytes, name = 'the picture') {
  const magic = String.fromCharCode(...bytes.subarray(0, 2));
  if (magic !== 'P6' && magic !== 'P5') {
    throw new ClassifierError(`${name} is no binary PPM (P6) or PGM (P5) picture`);
  }
  const [width, height, largest, start] = header(bytes, name);
  if (width === 0 || height === 0) {
    throw new ClassifierError(`${name} has no pixels: it is ${width}x${height}`);
  }
  if (largest !== 255) {
    throw new ClassifierError(`${name} has values up to ${largest}: save it with 8 bits (255)`);
  }
  const channels = magic === 'P6' ? 3 : 1;
  const wanted = width * height * channels;
  const found = bytes.length - start;
  if (found < wanted) {
    throw new ClassifierError(
      `${name} is cut short: ${width}x${height} pixels need ${wanted} bytes, it has ${found}`,
    );
  }
  const body = bytes.subarray(start, start + wanted);
  return { data: channels === 3 ? body.slice() : greyToRgb(body), width, height };
}

/**
 * Returns width, height, the largest value and where the pixels start.
 *
 * @param {Uint8Array} bytes
 * @param {string} name
 * @returns {[number, number, number, number]}
 */
function header(bytes, name) {
  let at = 2;
  const numbers = [0, 0, 0];
  for (let i = 0; i < numbers.length; i++) {
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

/**
 * @param {Uint8Array} grey
 * @returns {Uint8Array}
 */
function greyToRgb(grey) {
  const rgb = new Uint8Array(grey.length * 3);
  grey.forEach((value, i) => rgb.fill(value, 3 * i, 3 * i + 3));
  return rgb;
}
