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

// Texts that may say how the picture is turned.
const EXIF = 'Raw profile type exif';
const XMP = 'XML:com.adobe.xmp';

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
  const data = new Uint8Array(width * height * 3);
  const stream = new Unpacked(png.parts);
  try {
    for (const pass of interlaced ? PASSES : [[0, 0, 1, 1]]) {
      await readPass(png, pass, stream, data, name);
    }
  } finally {
    await stream.close();
  }
  return upright({ data, width, height }, png.turned);
}

/**
 * Paints the pixels of one pass. Of the samples two rows are kept: all of them may be much more
 * than the pixels.
 *
 * @param {Png} png
 * @param {number[]} pass
 * @param {Unpacked} stream
 * @param {Uint8Array} data
 * @param {string} name
 */
async function readPass(png, [left, top, across, down], stream, data, name) {
  const columns = Math.ceil((png.width - left) / across);
  const rows = Math.ceil((png.height - top) / down);
  if (columns < 1 || rows < 1) return;
  const perPixel = KINDS[png.kind].channels * png.bits;
  const paint = painter(png, name);
  const line = 1 + Math.ceil((columns * perPixel) / 8);
  let [row, above] = [new Uint8Array(line), new Uint8Array(line)];
  for (let y = 0; y < rows; y++) {
    let filled = stream.take(row, 0);
    while (filled < line) {
      if (!(await stream.more())) throw png.isCut ? truncated(name) : damaged(name, 'too few pixels');
      filled = stream.take(row, filled);
    }
    unfilter(row, above, Math.max(perPixel >> 3, 1), name);
    const samples = row.subarray(1);
    let to = ((top + y * down) * png.width + left) * 3;
    for (let x = 0; x < columns; x++, to += 3 * across) paint(samples, x, data, to);
    [row, above] = [above, row];
  }
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
  // The last text of a keyword counts, and none but that is unpacked.
  /** @type {Map<string, { chunk: string, content: Uint8Array }>} */
  const texts = new Map();
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
    else if (/^([iz]TXt|tEXt)$/.test(chunk)) {
      const keyword = text(content, 0, Math.max(content.subarray(0, 80).indexOf(0), 0));
      if ([EXIF, XMP].includes(keyword)) texts.set(keyword, { chunk, content });
    }
    at = behind;
  }
  if (png.parts.length === 0) throw truncated(name);
  for (const [keyword, { chunk, content }] of texts) {
    const said = await readText(chunk, content);
    if (keyword === XMP) png.turned.xmp = said;
    else png.turned.exif ??= rawProfile(said);
  }
  if (kind === PALETTE && png.palette.length === 0) throw damaged(name, 'it has no palette');
  if (kind === PALETTE && (png.clear?.length ?? 0) > 256) {
    throw damaged(name, 'its transparency is too long');
  }
  return png;
}

/**
 * Returns the text in the content of a chunk.
 *
 * @param {string} chunk
 * @param {Uint8Array} content
 * @returns {Promise<string>}
 */
async function readText(chunk, content) {
  let body = content.subarray(content.indexOf(0) + 1);
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
  if (!packed) return text(body, 0);
  const stream = new Unpacked([body]);
  // A profile has 64 KiB at most where it comes from; a text of gigabytes is no such thing.
  const unpacked = new Uint8Array(1 << 20);
  let filled = 0;
  while (filled < unpacked.length && (await stream.more())) filled = stream.take(unpacked, filled);
  await stream.close();
  return text(unpacked, 0, filled);
}

/**
 * Returns EXIF from a text as ImageMagick writes it: three lines, then hexadecimal digits.
 *
 * @param {string} said
 */
function rawProfile(said) {
  const digits = said.split('\n').slice(3).join('').match(/[0-9a-fA-F]{2}/g) ?? [];
  return Uint8Array.from(digits, (pair) => parseInt(pair, 16));
}

/** @param {Uint8Array} bytes */
function checksum(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = (sum >>> 8) ^ CHECKSUMS[(sum ^ byte) & 0xff];
  return (sum ^ 0xffffffff) >>> 0;
}

/** What a zlib stream unpacks to, piece by piece. */
class Unpacked {
  /** @type {Uint8Array} */
  #piece = new Uint8Array();
  #at = 0;
  #reader;

  /** @param {Uint8Array[]} parts */
  constructor(parts) {
    const stream = new DecompressionStream('deflate');
    const writer = stream.writable.getWriter();
    const written = (async () => {
      for (const part of parts) await writer.write(/** @type {BufferSource} */ (part));
      await writer.close();
    })();
    // What is wrong shows when it is read.
    written.catch(() => undefined);
    this.#reader = stream.readable.getReader();
  }

  /**
   * Writes what is there of the current piece to `to`, from `start` on; returns where it stops.
   *
   * @param {Uint8Array} to
   * @param {number} start
   */
  take(to, start) {
    const part = this.#piece.subarray(this.#at, this.#at + to.length - start);
    to.set(part, start);
    this.#at += part.length;
    return start + part.length;
  }

  /** Goes on to the next piece; false: it ends or is broken. What came before counts, as in Python. */
  async more() {
    const { done, value } = await this.#reader
      .read()
      .catch(() => ({ done: true, value: undefined }));
    if (done || value === undefined) return false;
    this.#piece = value;
    this.#at = 0;
    return true;
  }

  async close() {
    await this.#reader.cancel().catch(() => undefined);
  }
}

/**
 * Undoes the filter of a row, in its place.
 *
 * @param {Uint8Array} row With the number of its filter in front.
 * @param {Uint8Array} above The row before it, undone.
 * @param {number} step Bytes from a pixel to the next.
 * @param {string} name
 */
function unfilter(row, above, step, name) {
  const filter = row[0];
  if (filter > 4) throw damaged(name, 'a filter');
  if (filter === 0) return;
  for (let i = 1; i < row.length; i++) {
    const left = i > step ? row[i - step] : 0;
    const corner = i > step ? above[i - step] : 0;
    row[i] += predicted(filter, left, above[i], corner);
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
