// SPDX-License-Identifier: Apache-2.0
// Windows bitmaps, uncompressed: 1, 4 and 8 bits with a palette, 16, 24 and 32 bits. Browsers take
// the fourth byte of 32 bits for alpha where Pillow does not.

import { ClassifierError } from './errors.mjs';
import { checkSize, damaged, onWhite, truncated, viewOf } from './upright.mjs';

/** @typedef {import('./types.d.mts').Picture} Picture */

/**
 * @typedef {object} Header
 * @property {number} width
 * @property {number} height
 * @property {boolean} upwards
 * @property {number} bits
 * @property {number} pixels Where they begin.
 * @property {number} palette Where it begins.
 * @property {number} colours
 * @property {number} entry Bytes of a colour.
 * @property {number[]} places Of red, green, blue and alpha in a pixel; alpha -1: there is none.
 * @property {boolean} is565
 */

// Masks of red, green, blue and alpha, and the bytes that they stand for.
const LAYOUTS = [
  { masks: [0xff0000, 0xff00, 0xff, 0], places: [2, 1, 0, -1] },
  { masks: [0xff000000, 0xff0000, 0xff00, 0], places: [3, 2, 1, -1] },
  { masks: [0xff000000, 0xff00, 0xff, 0], places: [3, 1, 0, -1] },
  { masks: [0xff000000, 0xff0000, 0xff00, 0xff], places: [3, 2, 1, 0] },
  { masks: [0xff, 0xff00, 0xff0000, 0xff000000], places: [0, 1, 2, 3] },
  { masks: [0xff0000, 0xff00, 0xff, 0xff000000], places: [2, 1, 0, 3] },
  { masks: [0xff000000, 0xff00, 0xff, 0xff0000], places: [3, 1, 0, 2] },
  { masks: [0, 0, 0, 0], places: [2, 1, 0, 3] },
];

/**
 * Returns the picture in the bytes of a BMP file.
 *
 * @param {Uint8Array} bytes
 * @param {string} name What to call it in errors.
 * @returns {Picture}
 * @throws {ClassifierError} It is damaged, truncated, too large or of a rare kind.
 */
export function readBmp(bytes, name) {
  try {
    return decoded(bytes, readHeader(bytes, name), name);
  } catch (error) {
    if (error instanceof RangeError) throw truncated(name);
    throw error;
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {string} name
 * @returns {Header}
 */
function readHeader(bytes, name) {
  const view = viewOf(bytes);
  const length = view.getUint32(14, true);
  const rare = (/** @type {string} */ what) =>
    new ClassifierError(`${name} is a BMP ${what}: save it as PNG`);
  /** @type {Header} */
  const header = {
    width: 0,
    height: 0,
    upwards: true,
    bits: 0,
    pixels: view.getUint32(10, true),
    palette: 14 + length,
    colours: 0,
    entry: 4,
    places: [2, 1, 0, -1],
    is565: false,
  };
  let compression = 0;
  if (length === 12) {
    header.width = view.getUint16(18, true);
    header.height = view.getUint16(20, true);
    header.bits = view.getUint16(24, true);
    header.entry = 3;
  } else if ([40, 52, 56, 64, 108, 124].includes(length)) {
    header.upwards = view.getUint8(25) !== 0xff;
    header.width = view.getUint32(18, true);
    header.height = view.getUint32(22, true);
    if (!header.upwards) header.height = 2 ** 32 - header.height;
    header.bits = view.getUint16(28, true);
    compression = view.getUint32(30, true);
    header.colours = view.getUint32(46, true);
  } else {
    throw rare('of a rare kind');
  }
  checkSize(header.width, header.height, name);
  if (![1, 4, 8, 16, 24, 32].includes(header.bits)) throw rare(`of ${header.bits} bits a pixel`);
  if (compression === 3) {
    const masks = [54, 58, 62].map((at) => view.getUint32(at, true));
    masks.push(length >= 56 ? view.getUint32(66, true) : 0);
    readMasks(masks, header, rare);
    if (length < 52) header.palette += 12;
  } else if (compression !== 0) {
    throw new ClassifierError(`${name} is a compressed BMP: save it as PNG`);
  }
  let behind = header.palette;
  if (header.bits <= 8) {
    header.colours ||= 1 << header.bits;
    if (header.colours > 256) throw damaged(name, 'the size of its palette');
    behind += header.colours * header.entry;
  }
  if (header.pixels === 0 || (header.bits <= 8 && header.pixels === 14 + length)) {
    header.pixels = behind;
  }
  return header;
}

/**
 * @param {number[]} masks
 * @param {Header} header
 * @param {(what: string) => ClassifierError} rare
 */
function readMasks(masks, header, rare) {
  const are = (/** @type {number[]} */ wanted) => wanted.every((mask, i) => mask === masks[i]);
  const layout = LAYOUTS.find((one) => are(one.masks));
  if (header.bits === 32 && layout !== undefined) header.places = layout.places;
  else if (header.bits === 16 && are([0xf800, 0x7e0, 0x1f])) header.is565 = true;
  else if (!(header.bits === 16 && are([0x7c00, 0x3e0, 0x1f]))) {
    if (!(header.bits === 24 && are([0xff0000, 0xff00, 0xff]))) {
      throw rare('whose bits are in a rare order');
    }
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {Header} header
 * @param {string} name
 * @returns {Picture}
 */
function decoded(bytes, header, name) {
  const { width, height, bits } = header;
  const line = Math.ceil((width * bits) / 8);
  const stride = Math.ceil((width * bits) / 32) * 4;
  if (bytes.length - header.pixels < (height - 1) * stride + line) throw truncated(name);
  const paint = bits <= 8 ? indexed(bytes, header, name) : direct(header);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    const start = header.pixels + (header.upwards ? height - 1 - y : y) * stride;
    const row = bytes.subarray(start, start + line);
    for (let x = 0; x < width; x++, to += 3) paint(row, x, data, to);
  }
  return { data, width, height };
}

/**
 * @param {Uint8Array} bytes
 * @param {Header} header
 * @param {string} name
 * @returns {(row: Uint8Array, x: number, data: Uint8Array, to: number) => void}
 */
function indexed(bytes, { bits, palette, colours, entry }, name) {
  if (palette + colours * entry > bytes.length) throw truncated(name);
  const level = (/** @type {number} */ index, /** @type {number} */ k) =>
    index < colours ? bytes[palette + index * entry + 2 - k] : 0;
  const isGrey = Array.from({ length: colours }, (_, i) => i).every((i) =>
    [0, 1, 2].every((k) => level(i, k) === (colours === 2 ? 255 * i : i)),
  );
  // Pillow then takes the indices for levels, and reads them by another number of bits.
  if (isGrey && bits !== (colours <= 2 ? 1 : 8)) {
    throw new ClassifierError(`${name} is a BMP whose palette is of no use: save it as PNG`);
  }
  const mask = (1 << bits) - 1;
  return (row, x, data, to) => {
    const index = (row[(x * bits) >> 3] >> (8 - bits - ((x * bits) & 7))) & mask;
    for (let k = 0; k < 3; k++) data[to + k] = level(index, k);
  };
}

/**
 * @param {Header} header
 * @returns {(row: Uint8Array, x: number, data: Uint8Array, to: number) => void}
 */
function direct({ bits, places, is565 }) {
  if (bits === 16) {
    const green = is565 ? 63 : 31;
    return (row, x, data, to) => {
      const pixel = row[2 * x] | (row[2 * x + 1] << 8);
      data[to] = Math.floor((((pixel >> (is565 ? 11 : 10)) & 31) * 255) / 31);
      data[to + 1] = Math.floor((((pixel >> 5) & green) * 255) / green);
      data[to + 2] = Math.floor(((pixel & 31) * 255) / 31);
    };
  }
  const step = bits / 8;
  return (row, x, data, to) => {
    const alpha = places[3] < 0 ? 255 : row[x * step + places[3]];
    for (let k = 0; k < 3; k++) data[to + k] = onWhite(row[x * step + places[k]], alpha);
  };
}
