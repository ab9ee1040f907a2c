// SPDX-License-Identifier: Apache-2.0
// Picture files in the browser, which decodes JPEG and WebP; the rest is decoded by lib/.

import { ClassifierError } from '../lib/errors.mjs';
import { readPictureFile } from '../lib/picture_file.mjs';

/** @typedef {import('../lib/types.d.mts').Picture} Picture */
/** @typedef {import('../lib/picture_file.mjs').Coded} Coded */
/** @typedef {import('../lib/picture_file.mjs').Decoded} Decoded */

/**
 * Returns the picture in a file, number for number as Python reads it.
 *
 * @param {File} file
 * @returns {Promise<Picture>}
 * @throws {ClassifierError} It is damaged, truncated, too large, or not decoded alike here.
 */
export async function decode(file) {
  let bytes;
  try {
    bytes = new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    throw new ClassifierError(`${file.name} can't be read: was it moved?`, { cause: error });
  }
  return readPictureFile(bytes, file.name, decodeHere);
}

/**
 * @param {Coded} file
 * @returns {Promise<Decoded>}
 */
async function decodeHere({ format, bytes, inks, alpha, name }) {
  if (inks) {
    throw new ClassifierError(
      `${name} is a JPEG in CMYK, which browsers convert by rules of their own: save it as RGB`,
    );
  }
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([/** @type {BlobPart} */ (bytes)]), {
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    });
  } catch (error) {
    throw new ClassifierError(
      `${name} is damaged, or this browser can't decode ${format}: save it as PNG`,
      { cause: error },
    );
  }
  const { width, height } = bitmap;
  try {
    const data = alpha ? transparent(bitmap, name) : opaque(bitmap);
    return { data, width, height, channels: 4 };
  } catch (error) {
    if (error instanceof ClassifierError) throw error;
    throw new ClassifierError(
      `${name} has ${width}x${height} pixels, more than this browser can read: make it smaller`,
      { cause: error },
    );
  } finally {
    bitmap.close();
  }
}

/**
 * Returns the RGBA pixels of a bitmap.
 *
 * @param {ImageBitmap} bitmap
 * @returns {Uint8ClampedArray}
 */
function opaque(bitmap) {
  const { width, height } = bitmap;
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  // Read from the main memory: what a graphics card makes of colours is its own affair.
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new RangeError('no canvas of this size');
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height).data;
}

/**
 * Returns the RGBA pixels of a bitmap that may be transparent. A canvas keeps colours multiplied
 * with their alpha, so those of half-transparent pixels can be told by WebGL alone.
 *
 * @param {ImageBitmap} bitmap
 * @param {string} name
 * @returns {Uint8Array | Uint8ClampedArray}
 */
function transparent(bitmap, name) {
  const drawn = opaque(bitmap);
  let half = false;
  for (let at = 3; at < drawn.length; at += 4) half ||= drawn[at] > 0 && drawn[at] < 255;
  if (!half) return drawn;
  const found = throughWebgl(bitmap);
  // What WebGL gives must agree with the canvas in all that the canvas keeps.
  if (found !== null && found.every((level, at) => at % 4 < 3 || level === drawn[at])) return found;
  throw new ClassifierError(
    `${name} has half-transparent pixels, which this browser can't tell exactly: save it as PNG`,
  );
}

/**
 * @param {ImageBitmap} bitmap
 * @returns {Uint8Array | null} Null where the browser has no WebGL, or not for this size.
 */
function throughWebgl(bitmap) {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext('webgl');
  if (gl === null) return null;
  try {
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    const texture = gl.getParameter(gl.TEXTURE_BINDING_2D);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) return null;
    const data = new Uint8Array(width * height * 4);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
    return gl.getError() === gl.NO_ERROR ? data : null;
  } finally {
    // A browser has few contexts, and would take the oldest away.
    gl.getExtension('WEBGL_lose_context')?.loseContext();
  }
}

/**
 * Returns a picture made small, to be shown.
 *
 * @param {Picture} picture
 * @param {number} most Its longer side, in pixels.
 * @returns {Promise<ImageBitmap>}
 */
export async function preview({ data, width, height }, most) {
  const scale = Math.min(1, most / Math.max(width, height));
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    rgba[to] = data[from];
    rgba[to + 1] = data[from + 1];
    rgba[to + 2] = data[from + 2];
  }
  return createImageBitmap(new ImageData(rgba, width, height), {
    resizeWidth: Math.max(1, Math.round(width * scale)),
    resizeHeight: Math.max(1, Math.round(height * scale)),
    resizeQuality: 'high',
  });
}

/**
 * Draws a bitmap on a canvas of its size, and frees it.
 *
 * @param {ImageBitmap} bitmap
 * @param {HTMLCanvasElement} canvas
 */
export function draw(bitmap, canvas) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
  bitmap.close();
}
