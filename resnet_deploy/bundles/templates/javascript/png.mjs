// SPDX-License-Identifier: Apache-2.0
// PNG: https://www.w3.org/TR/png-3/. Decoded here, since browsers round half-transparent colours
// and every library has rules of its own for 16 bits and for transparent colours.
// Long as the list of the format's filters, passes and colour types is.

import { checkSize, damaged, onWhite, text, truncated, upright, viewOf } from './upright.mjs';

/** @typedef {import('./types.d.mts').Picture} Picture */
/** @typedef {import('./upright.mjs').Turned} Turned */

/**
 * @typedef {object} Png
 * @property {number} width
 * @property {number} height
 * @property {number} bits A sample.
 * @property {number} kind The colour type.
 * @property {boolean} interlaced
 * @property {Uint8Array} palette
 * @property {Uint8Array} [clear] The content of tRNS.
 * @property {Uint8Array[]} parts Compressed pixels.
 * @property {boolean} isCut The file ends within a chunk.
 * @property {Turned} turned
 */

const GREY = 0;
const RGB = 2;
const PALETTE = 3;
const GREY_ALPHA = 4;

/** @type {Record<number, { channels: number, bits: number[] }>} */
const KINDS = {
  [GREY]: { channels: 1, bits: [1, 2, 4, 8, 16] },
  [RGB]: { channels: 3, bits: [8, 16] },
  [PALETTE]: { channels: 1, bits: [1, 2, 4, 8] },
  [GREY_ALPHA]: { channels: 2, bits: [8, 16] },
  6: { channels: 4, bits: [8, 16] },
};

// First column, first row, steps across and down of each pass of an interlaced picture.
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

const CHECKSUMS = new Uint32Array(256).map((_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  return sum;
});

/**
 * Returns the picture in the bytes of a PNG file.
 *
 * @param {Uint8Array} bytes
 * @param {string} name What to call it in errors.
 * @returns {Promise<Picture>}
 * @throws {import('./errors.mjs').ClassifierError} It is damaged, truncated or too large.
 */
export async function readPng(bytes, name) {
  const png = await chunks(bytes, name);
  const { width, height, interlaced } = png;
  const passes = interlaced ? PASSES : [[0, 0, 1, 1]];
  const sizes = passes.map(([left, top, across, down]) => ({
    columns: Math.ceil((width - left) / across),
    rows: Math.ceil((height - top) / down),
  }));
  const perPixel = KINDS[png.kind].channels * png.bits;
  const lines = sizes.map(({ columns }) =>
    columns > 0 ? 1 + Math.ceil((columns * perPixel) / 8) : 0,
  );
  const wanted = sizes.reduce((sum, { rows }, i) => sum + Math.max(rows, 0) * lines[i], 0);
  const raw = await inflated(png.parts, wanted);
  if (raw.length < wanted) throw png.isCut ? truncated(name) : damaged(name, 'too few pixels');
  const data = new Uint8Array(width * height * 3);
  const paint = painter(png, name);
  let at = 0;
  passes.forEach(([left, top, across, down], pass) => {
    const { columns, rows } = sizes[pass];
    if (columns < 1 || rows < 1) return;
    const line = lines[pass];
    const part = raw.subarray(at, at + rows * line);
    at += rows * line;
    unfilter(part, line, Math.max(perPixel >> 3, 1), name);
    for (let row = 0; row < rows; row++) {
      const samples = part.subarray(row * line + 1, (row + 1) * line);
      let to = ((top + row * down) * width + left) * 3;
      for (let x = 0; x < columns; x++, to += 3 * across) paint(samples, x, data, to);
    }
  });
  return upright({ data, width, height }, png.turned);
}

/**
 * Reads all chunks. Those before the pixels must have a right checksum, as Pillow has it.
 *
 * @param {Uint8Array} bytes
 * @param {string} name
 * @returns {Promise<Png>}
 */
async function chunks(bytes, name) {
  const view = viewOf(bytes);
  if (bytes.length < 33 || text(bytes, 12, 4) !== 'IHDR') throw truncated(name);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  checkSize(width, height, name);
  const [bits, kind] = [bytes[24], bytes[25]];
  if (!KINDS[kind]?.bits.includes(bits)) throw damaged(name, 'its number of bits');
  if (bytes[26] > 0 || bytes[27] > 0 || bytes[28] > 1) throw damaged(name, 'its method');
  /** @type {Png} */
  const png = {
    width,
    height,
    bits,
    kind,
    interlaced: bytes[28] === 1,
    palette: new Uint8Array(),
    parts: [],
    isCut: false,
    turned: {},
  };
  for (let at = 8; at + 8 <= bytes.length;) {
    const length = view.getUint32(at);
    const chunk = text(bytes, at + 4, 4);
    const content = bytes.subarray(at + 8, at + 8 + length);
    const behind = at + 12 + length;
    if (chunk === 'IEND') break;
    if (chunk !== 'IDAT' && behind > bytes.length) throw truncated(name);
    if (png.parts.length === 0 && chunk !== 'IDAT') {
      const sum = checksum(bytes.subarray(at + 4, at + 8 + length));
      if (sum !== view.getUint32(at + 8 + length)) {
        throw damaged(name, 'the checksum of its header');
      }
      if (chunk === 'PLTE') png.palette = content;
      if (chunk === 'tRNS') png.clear = content;
    }
    png.isCut ||= behind > bytes.length;
    if (chunk === 'IDAT') png.parts.push(content);
    else if (chunk === 'eXIf') png.turned.exif = content;
    else if (/^([iz]TXt|tEXt)$/.test(chunk)) await readText(chunk, content, png.turned);
    at = behind;
  }
  if (png.parts.length === 0) throw truncated(name);
  if (kind === PALETTE && png.palette.length === 0) throw damaged(name, 'it has no palette');
  if (kind === PALETTE && (png.clear?.length ?? 0) > 256) {
    throw damaged(name, 'its transparency is too long');
  }
  return png;
}

/**
 * Takes XMP, and EXIF as ImageMagick writes it, from a chunk of text.
 *
 * @param {string} chunk
 * @param {Uint8Array} content
 * @param {Turned} turned
 */
async function readText(chunk, content, turned) {
  const end = content.indexOf(0);
  const keyword = text(content, 0, Math.max(end, 0));
  if (keyword !== 'XML:com.adobe.xmp' && keyword !== 'Raw profile type exif') return;
  let body = content.subarray(end + 1);
  let packed = false;
  if (chunk === 'zTXt') {
    body = body.subarray(1);
    packed = true;
  } else if (chunk === 'iTXt') {
    packed = body[0] === 1;
    // The language, and the keyword in it.
    const language = body.indexOf(0, 2);
    body = body.subarray(body.indexOf(0, language + 1) + 1);
  }
  // A profile has 64 KiB at most where it comes from; a text of gigabytes is no such thing.
  const said = text(packed ? await inflated([body], 1 << 20) : body, 0);
  if (keyword.startsWith('XML')) {
    turned.xmp ??= said;
  } else {
    const digits = said.split('\n').slice(3).join('').match(/[0-9a-fA-F]{2}/g) ?? [];
    turned.exif ??= Uint8Array.from(digits, (pair) => parseInt(pair, 16));
  }
}

/** @param {Uint8Array} bytes */
function checksum(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = (sum >>> 8) ^ CHECKSUMS[(sum ^ byte) & 0xff];
  return (sum ^ 0xffffffff) >>> 0;
}

/**
 * Returns the first bytes that a zlib stream unpacks to; fewer where it ends or is broken.
 *
 * @param {Uint8Array[]} parts
 * @param {number} most
 * @returns {Promise<Uint8Array>}
 */
async function inflated(parts, most) {
  const stream = new DecompressionStream('deflate');
  const writer = stream.writable.getWriter();
  const written = (async () => {
    for (const part of parts) await writer.write(/** @type {BufferSource} */ (part));
    await writer.close();
  })();
  // What is wrong shows when it is read.
  written.catch(() => undefined);
  const reader = stream.readable.getReader();
  /** @type {Uint8Array[]} */
  const found = [];
  let count = 0;
  while (count < most) {
    // What came before an error counts, as in Python.
    const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
    if (done || value === undefined) break;
    found.push(value);
    count += value.length;
  }
  await reader.cancel().catch(() => undefined);
  const out = new Uint8Array(Math.min(count, most));
  let at = 0;
  for (const piece of found) {
    const part = piece.subarray(0, out.length - at);
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/**
 * Undoes the filters of rows, in their place.
 *
 * @param {Uint8Array} rows Each with the number of its filter in front.
 * @param {number} line
 * @param {number} step Bytes from a pixel to the next.
 * @param {string} name
 */
function unfilter(rows, line, step, name) {
  for (let start = 0; start < rows.length; start += line) {
    const filter = rows[start];
    if (filter > 4) throw damaged(name, 'a filter');
    if (filter === 0) continue;
    for (let i = 1; i < line; i++) {
      const at = start + i;
      const left = i > step ? rows[at - step] : 0;
      const above = start > 0 ? rows[at - line] : 0;
      const corner = start > 0 && i > step ? rows[at - line - step] : 0;
      rows[at] += predicted(filter, left, above, corner);
    }
  }
}

/**
 * @param {number} filter
 * @param {number} left
 * @param {number} above
 * @param {number} corner
 */
function predicted(filter, left, above, corner) {
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return (left + above) >> 1;
  const guess = left + above - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - above), Math.abs(guess - corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}

/**
 * Returns what writes pixel `x` of a row of samples to `data` at `to`.
 *
 * 16 bits keep the upper 8, grey ones rounded; Pillow compares the low bytes of a transparent
 * colour.
 *
 * @param {Png} png
 * @param {string} name
 * @returns {(samples: Uint8Array, x: number, data: Uint8Array, to: number) => void}
 */
function painter({ bits, kind, palette, clear }, name) {
  const mask = (1 << bits) - 1;
  const step = bits === 16 ? 2 : 1;
  const small = (/** @type {Uint8Array} */ samples, /** @type {number} */ x) =>
    (samples[(x * bits) >> 3] >> (8 - bits - ((x * bits) & 7))) & mask;
  if (kind === PALETTE) {
    return (samples, x, data, to) => {
      const index = bits === 8 ? samples[x] : small(samples, x);
      const alpha = clear?.[index] ?? 255;
      // A colour that the palette lacks is black.
      for (let k = 0; k < 3; k++) data[to + k] = onWhite(palette[3 * index + k] ?? 0, alpha);
    };
  }
  if (kind === GREY && bits === 16) {
    return (samples, x, data, to) => {
      const level = Math.floor(((samples[2 * x] * 256 + samples[2 * x + 1]) * 255 + 32767) / 65535);
      data.fill(level, to, to + 3);
    };
  }
  if (kind === GREY || kind === RGB) {
    const grey = kind === GREY;
    const factor = bits < 8 ? 255 / mask : 1;
    const cleared = clear === undefined ? undefined : clearColour(clear, grey, bits, name);
    return (samples, x, data, to) => {
      for (let k = 0; k < 3; k++) {
        if (grey) data[to + k] = bits === 8 ? samples[x] : small(samples, x) * factor;
        else data[to + k] = samples[(3 * x + k) * step];
      }
      if (cleared?.every((level, k) => level === data[to + k])) data.fill(255, to, to + 3);
    };
  }
  const channels = kind === GREY_ALPHA ? 2 : 4;
  return (samples, x, data, to) => {
    const at = x * channels * step;
    const alpha = samples[at + (channels - 1) * step];
    for (let k = 0; k < 3; k++) {
      data[to + k] = onWhite(samples[at + (channels === 2 ? 0 : k * step)], alpha);
    }
  };
}

/**
 * @param {Uint8Array} clear
 * @param {boolean} grey
 * @param {number} bits
 * @param {string} name
 * @returns {number[]}
 */
function clearColour(clear, grey, bits, name) {
  if (clear.length < (grey ? 2 : 6)) throw truncated(name);
  return [0, 1, 2].map((k) => {
    const at = grey ? 0 : 2 * k;
    if (bits === 1) return clear[at] !== 0 || clear[at + 1] !== 0 ? 255 : 0;
    return clear[at + 1];
  });
}
