// SPDX-License-Identifier: Apache-2.0
// Picture files in Node.js. PNG, GIF, BMP, PPM, PGM and PBM need nothing; JPEG and WebP are decoded
// by sharp, which is not installed with the bundle: npm install sharp

import { ClassifierError, oneLine } from './lib/errors.mjs';
import { readPictureFile } from './lib/picture_file.mjs';
import { MAX_PIXELS } from './lib/preprocess.mjs';

/** @typedef {import('./lib/types.d.mts').Picture} Picture */
/** @typedef {import('./lib/picture_file.mjs').Coded} Coded */
/** @typedef {import('./lib/picture_file.mjs').Decoded} Decoded */

// A name in a variable: programs and type checkers do without it.
const DECODER = 'sharp';

/** Files of a format that was left out where the bundle was installed: they may be all right. */
export class MissingDecoderError extends ClassifierError {
  /**
   * @param {string} name What to call the file.
   * @param {string} format
   * @param {unknown} cause Why sharp can't be loaded.
   */
  constructor(name, format, cause) {
    const code = /** @type {NodeJS.ErrnoException} */ (cause).code;
    const why =
      code === 'ERR_MODULE_NOT_FOUND'
        ? 'npm install sharp'
        : `it can't be loaded (${oneLine(cause).split('; ')[0]}): npm install sharp here`;
    super(`${name} is a ${format} file, which sharp decodes: ${why}`, { cause });
    this.format = format;
  }
}

/**
 * Returns the picture in the bytes of a file, number for number as Python reads it.
 *
 * @param {Uint8Array} bytes
 * @param {string} [name] What to call it in errors.
 * @returns {Promise<Picture>}
 * @throws {ClassifierError} It is damaged, truncated, too large, or of a format not read here.
 */
export async function decodePicture(bytes, name = 'the picture') {
  return readPictureFile(bytes, name, decode);
}

/**
 * @param {Coded} file
 * @returns {Promise<Decoded>}
 */
async function decode({ format, bytes, inks, name }) {
  const { default: sharp } = await import(DECODER).catch((error) => {
    throw new MissingDecoderError(name, format, error);
  });
  try {
    // Warnings are no reason to refuse a file, as in Python; an early end is one.
    const image = sharp(bytes, { ignoreIcc: true, failOn: 'error', limitInputPixels: MAX_PIXELS });
    const spaced = inks ? image.pipelineColourspace('cmyk').toColourspace('cmyk') : image;
    const { data, info } = await spaced.raw().toBuffer({ resolveWithObject: true });
    return { data, width: info.width, height: info.height, channels: info.channels };
  } catch (error) {
    const [reason] = String(error instanceof Error ? error.message : error).split('\n');
    throw new ClassifierError(`${name} is damaged (${reason}): replace it`, { cause: error });
  }
}
