// SPDX-License-Identifier: Apache-2.0
import { ClassifierError } from '../lib/errors.mjs';

/** @typedef {import('../lib/types.d.mts').Picture} Picture */

/**
 * Decodes a picture file as the browser knows it: upright, without its colour profile.
 *
 * @param {File} file
 * @returns {Promise<ImageBitmap>}
 * @throws {ClassifierError} It is no picture, or a damaged one.
 */
export async function decode(file) {
  try {
    return await createImageBitmap(file, {
      imageOrientation: 'from-image',
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    });
  } catch (error) {
    throw new ClassifierError(
      `${file.name} can't be read: it is damaged, or no picture that this browser knows`,
      { cause: error },
    );
  }
}

/**
 * Returns the pixels as RGB; transparent ones are laid on white.
 *
 * @param {ImageBitmap} bitmap
 * @param {string} name What to call it in errors.
 * @returns {Picture}
 * @throws {ClassifierError} It is larger than this browser's canvas.
 */
export function pixels(bitmap, name) {
  const { width, height } = bitmap;
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  // Read from the main memory: what a graphics card makes of colours is its own affair.
  const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
  let rgba;
  try {
    if (context === null) throw new RangeError('no canvas of this size');
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    rgba = context.getImageData(0, 0, width, height).data;
  } catch (error) {
    throw new ClassifierError(
      `${name} has ${width}x${height} pixels, more than this browser can read: make it smaller`,
      { cause: error },
    );
  }
  const data = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    data[to] = rgba[from];
    data[to + 1] = rgba[from + 1];
    data[to + 2] = rgba[from + 2];
  }
  return { data, width, height };
}

/**
 * Draws the picture small.
 *
 * @param {ImageBitmap} bitmap
 * @param {HTMLCanvasElement} canvas
 * @param {number} most Its longer side, in pixels.
 */
export function preview(bitmap, canvas, most) {
  const scale = Math.min(1, most / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
}
