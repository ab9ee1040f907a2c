// SPDX-License-Identifier: Apache-2.0
// From a picture to the input of the network, number for number as it was trained and measured:
// torchvision's Resize on Pillow pictures, CenterCrop, ToTensor and Normalize.

import { ClassifierError } from './errors.mjs';
import { resize } from './pillow_resize.mjs';

/** @typedef {import('./pillow_resize.mjs').Pixels} Pixels */
/** @typedef {import('./types.d.mts').Contract} Contract */
/** @typedef {import('./types.d.mts').Input} Input */
/** @typedef {import('./types.d.mts').Picture} Picture */
/** @typedef {import('./types.d.mts').Preprocess} Preprocess */

/** The most pixels of a picture, in a file, handed in or resized, as in Python. */
export const MAX_PIXELS = 178_956_970;

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
  const channels = spec.channelOrder === 'grey' ? 1 : 3;
  const { width, height } = picture;
  const data = channels === 1 ? grey(picture.data) : picture.data;
  if (spec.resizeInGraph) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
    const ordered = spec.channelOrder === 'BGR' ? swapped(bytes.slice()) : bytes;
    return { data: ordered, shape: [height, width, channels] };
  }
  const kept = centre({ data, width, height, channels }, spec);
  const ordered = spec.channelOrder === 'BGR' ? swapped(kept) : kept;
  return { data: encode(ordered, channels, spec), shape: contract.inputShape };
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
  if (width * height > MAX_PIXELS) {
    throw new ClassifierError(
      `a picture of ${width}x${height} has more than ${MAX_PIXELS} pixels: make it smaller`,
    );
  }
  const wanted = width * height * 3;
  if (data.length !== wanted) {
    throw new ClassifierError(
      `a picture of ${width}x${height} RGB pixels has ${wanted} bytes, not ${data.length}`,
    );
  }
}

/**
 * Returns one grey level a pixel, as Pillow's mode L: ITU-R 601-2 in fractions of 16 bits.
 *
 * @param {Picture['data']} rgb
 * @returns {Uint8Array}
 */
function grey(rgb) {
  const out = new Uint8Array(rgb.length / 3);
  for (let i = 0, at = 0; i < out.length; i++, at += 3) {
    out[i] = (rgb[at] * 19595 + rgb[at + 1] * 38470 + rgb[at + 2] * 7471 + 0x8000) >> 16;
  }
  return out;
}

/**
 * Makes RGB pixels BGR ones, in their place.
 *
 * @param {Uint8Array} pixels
 */
function swapped(pixels) {
  for (let at = 0; at < pixels.length; at += 3) {
    const red = pixels[at];
    pixels[at] = pixels[at + 2];
    pixels[at + 2] = red;
  }
  return pixels;
}

/**
 * Returns the `height` x `width` pixels in the centre of the resized picture, in memory of its own.
 *
 * @param {Pixels} pixels
 * @param {Preprocess} spec
 * @returns {Uint8Array}
 */
function centre(pixels, spec) {
  const [width, height] = resizedSize(pixels, spec);
  const [rows, columns] = spec.resizeMode === 'pad' ? spec.resize : [0, 0];
  const x = centred(width, columns, spec.width);
  const y = centred(height, rows, spec.height);
  const window = { left: x.start, top: y.start, width: x.length, height: y.length };
  const whole = x.length === spec.width && y.length === spec.height;
  if (whole) return resize(pixels, width, height, spec.interpolation, window).data;
  const { channels } = pixels;
  const out = new Uint8Array(spec.width * spec.height * channels);
  // One pixel may lie beside the centre.
  if (x.length === 0 || y.length === 0) return out;
  const { data } = resize(pixels, width, height, spec.interpolation, window);
  const pitch = x.length * channels;
  for (let row = 0; row < y.length; row++) {
    const to = ((y.margin + row) * spec.width + x.margin) * channels;
    out.set(data.subarray(row * pitch, (row + 1) * pitch), to);
  }
  return out;
}

/**
 * Returns the width and height that a picture is resized to, before anything is cut or put around.
 *
 * @param {Pixels} picture
 * @param {Preprocess} spec
 * @returns {[number, number]}
 */
function resizedSize({ width, height }, { resize: [rows, columns], resizeMode }) {
  const across = rows * width;
  const down = columns * height;
  /** @type {[number, number]} */
  let size = [columns, rows];
  if (resizeMode === 'crop') {
    size =
      across >= down ? [Math.floor(across / height), rows] : [columns, Math.floor(down / width)];
  } else if (resizeMode === 'pad') {
    size = across <= down ? [rounded(across, height), rows] : [columns, rounded(down, width)];
  }
  if (size[0] * size[1] > MAX_PIXELS) {
    throw new ClassifierError(
      `a picture of ${width}x${height} pixels is too elongated to be resized`,
    );
  }
  return size;
}

/**
 * Returns the nearest whole number to a quotient, at least 1; a half goes up.
 *
 * @param {number} numerator
 * @param {number} denominator
 */
function rounded(numerator, denominator) {
  return Math.max(Math.floor((2 * numerator + denominator) / (2 * denominator)), 1);
}

/**
 * Returns which pixels of an axis are kept, and how much black comes before them: it is centred in
 * black of at least `frame`, and `crop` of that are kept.
 *
 * @param {number} length
 * @param {number} frame
 * @param {number} crop
 */
function centred(length, frame, crop) {
  const framed = Math.max(length, frame);
  const before = Math.floor((framed - length) / 2);
  const shift = framed < crop ? -Math.floor((crop - framed) / 2) : halfToEven(framed - crop);
  // The first of the input's pixels is this one of the axis; below 0 it is black.
  const begin = shift - before;
  const start = Math.max(begin, 0);
  const end = Math.min(begin + crop, length);
  return { start, length: Math.max(end - start, 0), margin: Math.max(-begin, 0) };
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
 * Returns the pixels that the network sees in the order and type that it takes.
 *
 * @param {Uint8Array} pixels
 * @param {number} channels
 * @param {Preprocess} spec
 * @returns {Float32Array | Uint8Array}
 */
function encode(pixels, channels, spec) {
  switch (spec.format) {
    case 'float-nchw':
      return normalised(pixels, channels, spec, pixels.length / channels, 1);
    case 'float-nhwc':
      return normalised(pixels, channels, spec, 1, channels);
    case 'uint8-nhwc':
      return pixels;
    case 'uint8-nchw':
      return planes(pixels, channels);
    case 'uint8-s2d':
      return blocks(pixels, channels, spec);
  }
}

/**
 * Returns `(level / divisor + low - mean) / std`, channel by channel, each step in 32-bit floats.
 *
 * @param {Uint8Array} pixels
 * @param {number} channels
 * @param {Preprocess} spec
 * @param {number} apart From one channel's first value to the next one's.
 * @param {number} step From one value of a channel to the next.
 * @returns {Float32Array}
 */
function normalised(pixels, channels, { range: [low, high], mean, std }, apart, step) {
  const area = pixels.length / channels;
  const out = new Float32Array(pixels.length);
  const levels = new Float32Array(256);
  const divisor = Math.fround(255 / (high - low));
  const lowest = Math.fround(low);
  for (let channel = 0; channel < channels; channel++) {
    const centre = Math.fround(mean[channel]);
    const spread = Math.fround(std[channel]);
    for (let level = 0; level < levels.length; level++) {
      const value = Math.fround(Math.fround(level / divisor) + lowest);
      levels[level] = Math.fround(value - centre) / spread;
    }
    let to = channel * apart;
    for (let i = 0; i < area; i++, to += step) out[to] = levels[pixels[channels * i + channel]];
  }
  return out;
}

/**
 * @param {Uint8Array} pixels
 * @param {number} channels
 * @returns {Uint8Array}
 */
function planes(pixels, channels) {
  if (channels === 1) return pixels;
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
 * Returns the pixels with the four of each 2x2 block side by side: `(H/2, W/2, 4 C)`.
 *
 * @param {Uint8Array} pixels
 * @param {number} channels
 * @param {Preprocess} spec
 * @returns {Uint8Array}
 */
function blocks(pixels, channels, { height, width }) {
  const out = new Uint8Array(pixels.length);
  const pair = 2 * channels;
  let to = 0;
  for (let y = 0; y < height; y += 2) {
    for (let x = 0; x < width; x += 2) {
      for (const row of [y, y + 1]) {
        const at = (row * width + x) * channels;
        out.set(pixels.subarray(at, at + pair), to);
        to += pair;
      }
    }
  }
  return out;
}
