// SPDX-License-Identifier: Apache-2.0
// What the decoders of picture files share: sizes, transparency, orientation, as Python has them.

import { ClassifierError } from './errors.mjs';
import { MAX_PIXELS } from './preprocess.mjs';

/** @typedef {import('./types.d.mts').Picture} Picture */

/**
 * What a file says of how its pixels are turned: the content of EXIF (a TIFF directory) and of XMP.
 *
 * @typedef {object} Turned
 * @property {Uint8Array} [exif]
 * @property {string} [xmp]
 */

const ORIENTATION = 0x0112;

/**
 * Throws unless a picture of this size may be decoded; asked before any memory is taken.
 *
 * @param {number} width
 * @param {number} height
 * @param {string} name What to call it in errors.
 * @throws {ClassifierError}
 */
export function checkSize(width, height, name) {
  if (width < 1 || height < 1) throw new ClassifierError(`${name} has no pixels: replace it`);
  if (width * height > MAX_PIXELS) {
    throw new ClassifierError(
      `${name} has ${width}x${height} pixels, more than the ${MAX_PIXELS} that are decoded: ` +
        'make it smaller',
    );
  }
}

/**
 * @param {string} name
 * @returns {ClassifierError}
 */
export function truncated(name) {
  return new ClassifierError(`${name} is truncated: copy it again`);
}

/**
 * @param {string} name
 * @param {string} why
 * @returns {ClassifierError}
 */
export function damaged(name, why) {
  return new ClassifierError(`${name} is damaged (${why}): replace it`);
}

/**
 * Returns a level laid on white, in the fixed point of Pillow's alpha_composite.
 *
 * @param {number} level
 * @param {number} alpha
 */
export function onWhite(level, alpha) {
  const sum = (level * alpha + 255 * (255 - alpha) + 0x80) << 7;
  return (((sum >> 8) + sum) >> 8) >> 7;
}

/**
 * Returns RGBA pixels, laid on white, as RGB.
 *
 * @param {Uint8Array | Uint8ClampedArray} rgba
 * @returns {Uint8Array}
 */
export function rgbOnWhite(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    const alpha = rgba[from + 3];
    for (let k = 0; k < 3; k++) {
      rgb[to + k] = alpha === 255 ? rgba[from + k] : onWhite(rgba[from + k], alpha);
    }
  }
  return rgb;
}

/**
 * Turns a picture upright.
 *
 * @param {Picture} picture
 * @param {Turned} turned
 * @returns {Picture}
 */
export function upright(picture, turned) {
  const orientation = exifOrientation(turned.exif) || xmpOrientation(turned.xmp);
  if (orientation < 2 || orientation > 8) return picture;
  const { data, width, height } = picture;
  const transposed = orientation >= 5;
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBelow = [3, 4, 6, 7].includes(orientation);
  const columns = transposed ? height : width;
  const rows = transposed ? width : height;
  const out = new Uint8Array(data.length);
  for (let y = 0, to = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++, to += 3) {
      const column = transposed ? y : x;
      const row = transposed ? x : y;
      const line = fromBelow ? height - 1 - row : row;
      const from = 3 * (line * width + (fromRight ? width - 1 - column : column));
      out[to] = data[from];
      out[to + 1] = data[from + 1];
      out[to + 2] = data[from + 2];
    }
  }
  return { data: out, width: columns, height: rows };
}

/**
 * Returns the orientation in a TIFF directory (EXIF 2.32, section 4.6.4); 0 where none can be read.
 *
 * @param {Uint8Array} [exif]
 */
function exifOrientation(exif) {
  let bytes = exif ?? new Uint8Array();
  while (text(bytes, 0, 6) === 'Exif\0\0') bytes = bytes.subarray(6);
  const order = text(bytes, 0, 4);
  const little = order === 'II*\0';
  if (bytes.length < 8 || (!little && order !== 'MM\0*')) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let place = view.getUint32(4, little);
  if (place > bytes.length - 2) return 0;
  const entries = view.getUint16(place, little);
  place += 2;
  let found = 0;
  for (let i = 0; i < entries && bytes.length - place >= 12; i++, place += 12) {
    const kind = view.getUint16(place + 2, little);
    if (view.getUint16(place, little) !== ORIENTATION) continue;
    if (view.getUint32(place + 4, little) !== 1) continue;
    if (kind === 3 || kind === 8) found = view.getUint16(place + 8, little);
    if (kind === 4 || kind === 9) found = view.getUint32(place + 8, little);
  }
  return found;
}

/**
 * Returns the orientation in a packet of XMP; 0 where there is none.
 *
 * @param {string} [xmp]
 */
function xmpOrientation(xmp) {
  return Number(/tiff:Orientation(?:="|>)([0-9])/.exec(xmp ?? '')?.[1] ?? 0);
}

/**
 * Returns bytes as text, one character each.
 *
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {number} [length] To the end if absent.
 */
export function text(bytes, start, length = bytes.length - start) {
  let said = '';
  for (const byte of bytes.subarray(start, start + length)) said += String.fromCharCode(byte);
  return said;
}

/**
 * Returns a view for reading numbers; what is behind the end throws a RangeError.
 *
 * @param {Uint8Array} bytes
 */
export function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
