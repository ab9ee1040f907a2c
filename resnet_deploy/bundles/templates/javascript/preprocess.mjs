// From a picture to the input of the network, number for number as it was trained and measured:
// torchvision's Resize on Pillow pictures, CenterCrop, ToTensor and Normalize.

import { ClassifierError } from './errors.mjs';
import { resize } from './pillow_resize.mjs';

/** @typedef {import('./types.d.mts').Contract} Contract */
/** @typedef {import('./types.d.mts').Input} Input */
/** @typedef {import('./types.d.mts').Picture} Picture */
/** @typedef {import('./types.d.mts').Preprocess} Preprocess */

// What Pillow calls a decompression bomb: a picture of 1x10000 pixels would become one.
const MAX_PIXELS = 89_478_485;

/**
 * Returns the input that `picture` becomes, without the batch.
 *
 * @param {Picture} picture RGB of any size.
 * @param {Contract} contract
 * @returns {Input}
 * @throws {ClassifierError} It has no pixels, too few or too many bytes, or is too elongated.
 */
export function prepare(picture, contract) {
  checkPicture(picture);
  const spec = contract.preprocess;
  if (spec.resizeInGraph) {
    const { data, width, height } = picture;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
    return { data: bytes, shape: [height, width, 3] };
  }
  return { data: encode(square(picture, spec), spec), shape: contract.inputShape };
}

/**
 * @param {Picture} picture
 * @throws {ClassifierError} It is not what the type says.
 */
export function checkPicture(picture) {
  const { data, width, height } = picture ?? {};
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw new ClassifierError('a picture is { data, width, height } with its bytes in a Uint8Array');
  }
  const sides = [width, height];
  if (!sides.every((side) => Number.isSafeInteger(side) && side > 0)) {
    throw new ClassifierError(`a picture of ${width}x${height} pixels can't be classified`);
  }
  const wanted = width * height * 3;
  if (data.length !== wanted) {
    throw new ClassifierError(
      `a picture of ${width}x${height} RGB pixels has ${wanted} bytes, not ${data.length}`,
    );
  }
}

/**
 * Returns the `crop` x `crop` pixels in the centre of the resized picture.
 *
 * @param {Picture} picture
 * @param {Preprocess} spec
 * @returns {Uint8Array}
 */
function square(picture, spec) {
  const [width, height] = resizedSize(picture, spec.resize);
  const x = centred(width, spec.crop);
  const y = centred(height, spec.crop);
  const window = { left: x.start, top: y.start, width: x.length, height: y.length };
  const kept = resize(picture, width, height, spec.interpolation, window);
  return x.length === spec.crop && y.length === spec.crop
    ? kept.data
    : framed(kept, spec.crop, x.margin, y.margin);
}

/**
 * Returns width and height after the shorter side became `size`; the longer one is rounded down.
 *
 * @param {Picture} picture
 * @param {number} size
 * @returns {[number, number]}
 */
function resizedSize({ width, height }, size) {
  const short = Math.min(width, height);
  const long = Math.max(width, height);
  if (short === size) return [width, height];
  const newLong = Math.trunc((size * long) / short);
  if (size * newLong > MAX_PIXELS) {
    throw new ClassifierError(
      `a picture of ${width}x${height} pixels is too elongated to be resized`,
    );
  }
  return width <= height ? [size, newLong] : [newLong, size];
}

/**
 * Returns which pixels of an axis are kept, and how much black comes before them.
 *
 * @param {number} length
 * @param {number} crop
 */
function centred(length, crop) {
  if (length < crop) return { start: 0, length, margin: Math.floor((crop - length) / 2) };
  return { start: halfToEven(length - crop), length: crop, margin: 0 };
}

/**
 * Returns `value / 2`, rounded to even as Python's round() does it.
 *
 * @param {number} value A whole number, 0 or more.
 */
function halfToEven(value) {
  const down = Math.floor(value / 2);
  return value % 2 === 1 && down % 2 === 1 ? down + 1 : down;
}

/**
 * Lays a picture that is too small on black.
 *
 * @param {Picture} picture
 * @param {number} crop
 * @param {number} left
 * @param {number} top
 * @returns {Uint8Array}
 */
function framed({ data, width, height }, crop, left, top) {
  const out = new Uint8Array(crop * crop * 3);
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * width * 3, (y + 1) * width * 3);
    out.set(row, ((top + y) * crop + left) * 3);
  }
  return out;
}

/**
 * Returns square RGB pixels in the order and type that the network takes.
 *
 * @param {Uint8Array} pixels
 * @param {Preprocess} spec
 * @returns {Float32Array | Uint8Array}
 */
function encode(pixels, spec) {
  switch (spec.format) {
    case 'float-nchw':
      return normalised(pixels, spec);
    case 'uint8-nhwc':
      return pixels;
    case 'uint8-nchw':
      return planes(pixels);
    case 'uint8-s2d':
      return blocks(pixels, spec.crop);
  }
}

/**
 * Returns `(value / 255 - mean) / std`, channel by channel, each step in 32-bit floats.
 *
 * @param {Uint8Array} pixels
 * @param {Preprocess} spec
 * @returns {Float32Array}
 */
function normalised(pixels, { mean, std }) {
  const area = pixels.length / 3;
  const out = new Float32Array(pixels.length);
  const levels = new Float32Array(256);
  for (let channel = 0; channel < 3; channel++) {
    const centre = Math.fround(mean[channel]);
    const spread = Math.fround(std[channel]);
    for (let level = 0; level < levels.length; level++) {
      levels[level] = Math.fround(Math.fround(level / 255) - centre) / spread;
    }
    const start = channel * area;
    for (let i = 0; i < area; i++) out[start + i] = levels[pixels[3 * i + channel]];
  }
  return out;
}

/**
 * @param {Uint8Array} pixels
 * @returns {Uint8Array}
 */
function planes(pixels) {
  const area = pixels.length / 3;
  const out = new Uint8Array(pixels.length);
  for (let i = 0; i < area; i++) {
    out[i] = pixels[3 * i];
    out[area + i] = pixels[3 * i + 1];
    out[2 * area + i] = pixels[3 * i + 2];
  }
  return out;
}

/**
 * Returns the pixels with the four of each 2x2 block side by side: `(H/2, W/2, 12)`.
 *
 * @param {Uint8Array} pixels
 * @param {number} size
 * @returns {Uint8Array}
 */
function blocks(pixels, size) {
  const out = new Uint8Array(pixels.length);
  let to = 0;
  for (let y = 0; y < size; y += 2) {
    for (let x = 0; x < size; x += 2) {
      for (const row of [y, y + 1]) {
        const at = (row * size + x) * 3;
        out.set(pixels.subarray(at, at + 6), to);
        to += 6;
      }
    }
  }
  return out;
}
