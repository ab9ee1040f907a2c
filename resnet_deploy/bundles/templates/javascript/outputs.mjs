// SPDX-License-Identifier: Apache-2.0
// From the tensors that ONNX Runtime gives to the arrays of each picture.

import { ClassifierError } from './errors.mjs';

/** @typedef {import('./types.d.mts').Contract} Contract */
/** @typedef {import('./types.d.mts').Network} Network */
/** @typedef {import('./types.d.mts').Output} Output */
/** @typedef {import('onnxruntime-common').InferenceSession.ReturnType} Tensors */

/**
 * Returns the float32 outputs of each of the first `pictures` of a batch, in the contract's order.
 *
 * @param {Tensors} tensors By name, of a batch of `images`.
 * @param {Contract} contract
 * @param {Network} network
 * @param {number} images
 * @param {number} pictures
 * @returns {Output[][]}
 * @throws {ClassifierError} The network gives other arrays than the contract says, NaN or infinity.
 */
export function outputsOf(tensors, contract, network, images, pictures) {
  const arrays = contract.outputs.map(({ name, shape }) => {
    const found = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
    const size = shape.reduce((a, b) => a * b, 1);
    // Some classifiers keep the 1x1 of their last pooling behind the classes.
    const alike = contract.numClasses > 0 || String(found?.dims) === String([images, ...shape]);
    if (!(found?.data instanceof Float32Array) || found.data.length !== size * images || !alike) {
      const what = contract.numClasses > 0 ? `${size} scores` : `${name} of ${shape.join('x')}`;
      throw new ClassifierError(`${network.file} does not give ${what} per picture`);
    }
    if (!areFinite(found.data)) {
      throw new ClassifierError(`${network.file} gives NaN or infinity: its weights are broken`);
    }
    return { name, shape, data: found.data, size };
  });
  return Array.from({ length: pictures }, (_, index) =>
    arrays.map(({ name, shape, data, size }) => ({
      name,
      shape,
      data: data.slice(index * size, (index + 1) * size),
    })),
  );
}

/**
 * @param {Float32Array} values There may be a million of them: a loop, which is fastest.
 */
function areFinite(values) {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}

/**
 * Returns the Euclidean length of some values.
 *
 * @param {Float32Array} values
 * @returns {number}
 */
export function norm(values) {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
