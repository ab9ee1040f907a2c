// SPDX-License-Identifier: Apache-2.0
// Picture files to RGB pixels, number for number as Python reads them: upright, transparent parts
// laid on white, colour profiles ignored, of an animation the first frame.
//
// JPEG and WebP are decoded by what the platform has. It is handed the file without its metadata,
// so that no platform turns a picture or converts colours by rules of its own.

import { readBmp } from './bmp.mjs';
import { ClassifierError } from './errors.mjs';
import { readGif } from './gif.mjs';
import { readNetpbm } from './netpbm.mjs';
import { readPng } from './png.mjs';
import { checkSize, damaged, rgbOnWhite, text, truncated, upright, viewOf } from './upright.mjs';

/** @typedef {import('./types.d.mts').Picture} Picture */
/** @typedef {import('./upright.mjs').Turned} Turned */

/**
 * Pixels as a platform decodes them: `channels` values each, 1 of grey, 3 of RGB, 4 of RGBA, or of
 * CMYK where `inks` is set: 0 is no ink.
 *
 * @typedef {object} Decoded
 * @property {Uint8Array | Uint8ClampedArray} data
 * @property {number} width
 * @property {number} height
 * @property {1 | 3 | 4} channels
 */

/**
 * @typedef {object} Coded
 * @property {'JPEG' | 'WebP'} format
 * @property {Uint8Array} bytes The file, without metadata.
 * @property {boolean} inks It is a JPEG in CMYK.
 * @property {boolean} alpha It may be transparent.
 * @property {string} name What to call it in errors.
 */

/** @typedef {(file: Coded) => Promise<Decoded>} Platform */

/**
 * What a file says before it is decoded.
 *
 * @typedef {object} Facts
 * @property {number} width
 * @property {number} height
 * @property {boolean} inks
 * @property {boolean} alpha
 * @property {Uint8Array} bytes The file, without metadata.
 * @property {Turned} turned
 */

const EXIF = 'Exif\0\0';
const XMP = 'http://ns.adobe.com/xap/1.0/\0';

// What may follow a scan of a JPEG: Huffman tables, another scan, quantization tables, the number of
// lines, restarts; and from 0xe0 on, what applications and comments say.
const SEGMENTS = [0xc4, 0xda, 0xdb, 0xdc, 0xdd];

// Of the files that Python reads and this does not.
const UNREAD = [
  { head: /^(II\*\0|MM\0\*|II\+)/, what: 'a TIFF file' },
  { head: /^....ftyp/s, what: 'an AVIF or HEIC file' },
  { head: /^(....jP {2}|\xff\x4f\xff\x51)/s, what: 'a JPEG 2000 file' },
  { head: /^\0\0\x01\0/, what: 'an icon' },
  { head: /^8BPS/, what: 'a Photoshop file' },
  { head: /^P[fF]/, what: 'a PFM file of floats' },
  { head: /^P[123]/, what: 'a netpbm file in plain text' },
];

/**
 * Returns the picture in the bytes of a file.
 *
 * @param {Uint8Array} bytes
 * @param {string} name What to call it in errors.
 * @param {Platform} platform What decodes JPEG and WebP.
 * @returns {Promise<Picture>}
 * @throws {ClassifierError} It is damaged, truncated, too large, or of a format not read here.
 */
export async function readPictureFile(bytes, name, platform) {
  const head = text(bytes, 0, 16);
  if (/^P[456]/.test(head)) return readNetpbm(bytes, name);
  if (/^GIF8[79]a/.test(head)) return readGif(bytes, name);
  if (head.startsWith('BM')) return readBmp(bytes, name);
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return readPng(bytes, name);
  if (head.startsWith('\xff\xd8\xff')) return coded('JPEG', jpegFacts(bytes, name), name, platform);
  if (/^RIFF....WEBP/s.test(head)) return coded('WebP', webpFacts(bytes, name), name, platform);
  const unread = UNREAD.find((one) => one.head.test(head));
  if (unread !== undefined) {
    throw new ClassifierError(
      `${name} is ${unread.what}, which is not read here: save it as PNG or JPEG`,
    );
  }
  throw new ClassifierError(
    `${name} is not a JPEG, PNG, WebP, GIF, BMP, PPM, PGM or PBM file, or it is damaged`,
  );
}

/**
 * @param {'JPEG' | 'WebP'} format
 * @param {Facts} facts
 * @param {string} name
 * @param {Platform} platform
 * @returns {Promise<Picture>}
 */
async function coded(format, facts, name, platform) {
  checkSize(facts.width, facts.height, name);
  const { bytes, inks, alpha, turned } = facts;
  const { data, width, height, channels } = await platform({ format, bytes, inks, alpha, name });
  if (width !== facts.width || height !== facts.height) throw damaged(name, 'its size');
  if (channels === 4 && !inks && !alpha && !isOpaque(data)) {
    throw damaged(name, 'transparency that its header does not announce');
  }
  const rgb = inks ? inksToRgb(data) : toRgb(data, channels);
  return upright({ data: rgb, width, height }, turned);
}

/**
 * @param {Uint8Array | Uint8ClampedArray} data
 * @param {1 | 3 | 4} channels
 * @returns {Uint8Array | Uint8ClampedArray}
 */
function toRgb(data, channels) {
  if (channels === 3) return data;
  if (channels === 4) return rgbOnWhite(data);
  const rgb = new Uint8Array(data.length * 3);
  data.forEach((level, i) => rgb.fill(level, 3 * i, 3 * i + 3));
  return rgb;
}

/** @param {Uint8Array | Uint8ClampedArray} rgba */
function isOpaque(rgba) {
  for (let at = 3; at < rgba.length; at += 4) if (rgba[at] !== 255) return false;
  return true;
}

/**
 * Returns CMYK as RGB, as Pillow's convert() computes it.
 *
 * @param {Uint8Array | Uint8ClampedArray} inks
 * @returns {Uint8Array}
 */
function inksToRgb(inks) {
  const rgb = new Uint8Array((inks.length / 4) * 3);
  for (let from = 0, to = 0; from < inks.length; from += 4, to += 3) {
    const white = 255 - inks[from + 3];
    for (let k = 0; k < 3; k++) {
      const product = inks[from + k] * white + 128;
      rgb[to + k] = white - (((product >> 8) + product) >> 8);
    }
  }
  return rgb;
}

/**
 * Reads the segments of a JPEG file up to the first scan.
 *
 * @param {Uint8Array} bytes
 * @param {string} name
 * @returns {Facts}
 */
function jpegFacts(bytes, name) {
  /** @type {Uint8Array[]} */
  const kept = [bytes.subarray(0, 2)];
  /** @type {Uint8Array[]} */
  const exif = [];
  const facts = { width: 0, height: 0, inks: false, alpha: false, bytes, turned: {} };
  /** @type {Turned} */
  const turned = facts.turned;
  let at = 2;
  for (;;) {
    while (at < bytes.length && bytes[at] !== 0xff) at++;
    while (at < bytes.length && bytes[at] === 0xff) at++;
    const marker = bytes[at++];
    if (at + 2 > bytes.length || marker === 0xd9) throw truncated(name);
    if (marker === 0 || marker === 1 || (marker >= 0xd0 && marker <= 0xd8)) continue;
    const length = bytes[at] * 256 + bytes[at + 1];
    if (length < 2 || at + length > bytes.length) throw truncated(name);
    if (marker === 0xda) break;
    const content = bytes.subarray(at + 2, at + length);
    // Start of frame, except for the tables and the reserved marker among its numbers.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      frameFacts(content, facts, name);
    }
    if (marker === 0xe1 && text(content, 0, EXIF.length) === EXIF) {
      exif.push(exif.length === 0 ? content : content.subarray(EXIF.length));
    }
    if (marker === 0xe1 && text(content, 0, XMP.length) === XMP) {
      turned.xmp = text(content, XMP.length);
    }
    // JFIF and Adobe's segment say what the components are.
    if (marker < 0xe0 || marker > 0xef || marker === 0xe0 || marker === 0xee) {
      kept.push(Uint8Array.of(0xff, marker), bytes.subarray(at, at + length));
    }
    at += length;
  }
  if (facts.width === 0) throw damaged(name, 'it has no frame');
  checkScans(bytes, at, name);
  if (exif.length > 0) turned.exif = joined(exif);
  facts.bytes = joined([...kept, Uint8Array.of(0xff, 0xda), bytes.subarray(at)]);
  return facts;
}

/**
 * @param {Uint8Array} frame
 * @param {Facts} facts
 * @param {string} name
 */
function frameFacts(frame, facts, name) {
  if (frame.length < 6) throw truncated(name);
  const [bits, components] = [frame[0], frame[5]];
  if (bits !== 8 || ![1, 3, 4].includes(components)) {
    throw new ClassifierError(
      `${name} is a JPEG of ${components} components of ${bits} bits: save it as RGB of 8 bits`,
    );
  }
  facts.height = frame[1] * 256 + frame[2];
  facts.width = frame[3] * 256 + frame[4];
  facts.inks = components === 4;
}

/**
 * Throws unless the scans, from the length of the first one's header on, come to an end: browsers
 * draw grey where they do not, and some decoders go on where a marker makes no sense.
 *
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {string} name
 */
function checkScans(bytes, at, name) {
  at += bytes[at] * 256 + bytes[at + 1];
  while (at + 1 < bytes.length) {
    const marker = bytes[at] === 0xff ? bytes[at + 1] : 0;
    if (marker === 0xd9) return;
    if (marker === 0xff) {
      at += 1;
    } else if (marker === 0 || (marker >= 0xd0 && marker <= 0xd7)) {
      at += marker === 0 && bytes[at] !== 0xff ? 1 : 2;
    } else if (SEGMENTS.includes(marker) || marker >= 0xe0) {
      at += 2 + bytes[at + 2] * 256 + bytes[at + 3];
    } else {
      throw damaged(name, 'a marker');
    }
  }
  throw truncated(name);
}

/**
 * Reads the chunks of a WebP file.
 *
 * @param {Uint8Array} bytes
 * @param {string} name
 * @returns {Facts}
 */
function webpFacts(bytes, name) {
  const view = viewOf(bytes);
  const end = 8 + view.getUint32(4, true);
  if (end > bytes.length || bytes.length < 30) throw truncated(name);
  /** @type {Turned} */
  const turned = {};
  const facts = { width: 0, height: 0, inks: false, alpha: false, bytes, turned };
  let framed = false;
  /** @type {Uint8Array[]} */
  const kept = [];
  for (let at = 12; at + 8 <= end;) {
    const length = view.getUint32(at + 4, true);
    const behind = at + 8 + length + (length % 2);
    if (at + 8 + length > end) throw truncated(name);
    const chunk = text(bytes, at, 4);
    const content = bytes.subarray(at + 8, at + 8 + length);
    const extended = kept.length > 0 || chunk === 'VP8X';
    if (chunk === 'VP8X' && length >= 10) {
      facts.alpha = (content[0] & 0x10) !== 0;
      facts.width = 1 + content[4] + content[5] * 256 + content[6] * 65536;
      facts.height = 1 + content[7] + content[8] * 256 + content[9] * 65536;
      // What the flags announce and is left out below: profile, EXIF and XMP.
      const plain = bytes.slice(at, behind);
      plain[8] &= ~0x2c;
      kept.push(plain);
    } else if (chunk === 'EXIF' && extended) {
      turned.exif ??= content;
    } else if (chunk === 'XMP ' && extended) {
      turned.xmp ??= text(content, 0);
    } else if (chunk !== 'ICCP') {
      if (chunk === 'ALPH') facts.alpha = true;
      if (chunk === 'VP8 ' && facts.width === 0) lossySize(content, facts);
      if (chunk === 'VP8L' && facts.width === 0) losslessSize(content, facts);
      const part = bytes.slice(at, behind);
      // The colour behind an animation, which Pillow does not use.
      if (chunk === 'ANIM') part.fill(0, 8, 12);
      if (chunk === 'ANMF' && !framed) checkFrame(content, facts, name);
      framed ||= chunk === 'ANMF';
      kept.push(part);
    }
    at = behind;
  }
  if (facts.width === 0) throw damaged(name, 'it has no frame');
  const body = joined(kept);
  const head = bytes.slice(0, 12);
  viewOf(head).setUint32(4, body.length + 4, true);
  facts.bytes = joined([head, body]);
  return facts;
}

/**
 * Throws where the first frame of an animation leaves a part of the picture to its background.
 *
 * @param {Uint8Array} frame
 * @param {Facts} facts
 * @param {string} name
 */
function checkFrame(frame, { width, height }, name) {
  const [left, top, columns, rows] = [0, 3, 6, 9].map(
    (at) => frame[at] + frame[at + 1] * 256 + frame[at + 2] * 65536,
  );
  if (left !== 0 || top !== 0 || columns + 1 !== width || rows + 1 !== height) {
    throw new ClassifierError(
      `${name} is an animated WebP whose first frame is not the whole picture: save it as PNG`,
    );
  }
}

/**
 * @param {Uint8Array} content
 * @param {Facts} facts
 */
function lossySize(content, facts) {
  if (content.length < 10) return;
  facts.width = (content[6] + content[7] * 256) & 0x3fff;
  facts.height = (content[8] + content[9] * 256) & 0x3fff;
}

/**
 * @param {Uint8Array} content
 * @param {Facts} facts
 */
function losslessSize(content, facts) {
  if (content.length < 5) return;
  const numbers = viewOf(content).getUint32(1, true);
  facts.width = 1 + (numbers & 0x3fff);
  facts.height = 1 + ((numbers >>> 14) & 0x3fff);
  facts.alpha = ((numbers >>> 28) & 1) === 1;
}

/**
 * @param {Uint8Array[]} parts
 * @returns {Uint8Array}
 */
function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
