// SPDX-License-Identifier: Apache-2.0
import { webcrypto } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as ort from 'onnxruntime-node';

import { Classifier } from './lib/classifier.mjs';
import { contract } from './lib/contract.mjs';
import { ClassifierError } from './lib/errors.mjs';
import { parseLabels } from './lib/labels.mjs';
import { readNetpbm } from './lib/netpbm.mjs';
import { decodePicture } from './pictures.mjs';

export { Classifier, ClassifierError, contract, decodePicture, readNetpbm };

const HERE = fileURLToPath(new URL('.', import.meta.url));

/**
 * Opens the classifier of this bundle.
 *
 * @param {import('./index.mjs').OpenOptions} [options]
 * @returns {Promise<Classifier>}
 * @throws {ClassifierError} A file is missing, damaged or does not fit the others.
 */
export async function openClassifier({ folder = HERE, sessionOptions } = {}) {
  const model = await bytesOf(folder, contract.networks[0].file);
  const text = new TextDecoder().decode(await bytesOf(folder, contract.labelsFile));
  const labels = parseLabels(text, contract);
  const { subtle } = webcrypto;
  return Classifier.open({ ort, model, contract, labels, sessionOptions, subtle });
}

/**
 * Reads a picture file, number for number as Python does.
 *
 * @param {string} path
 * @returns {Promise<import('./lib/types.d.mts').Picture>}
 * @throws {ClassifierError} It is missing, damaged, too large, or of a format not read here.
 */
export async function readPicture(path) {
  return decodePicture(await bytesOf('', path), path);
}

/**
 * @param {string} folder
 * @param {string} file
 * @returns {Promise<Uint8Array>}
 */
async function bytesOf(folder, file) {
  const path = join(folder, file);
  try {
    return await readFile(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ClassifierError(`cannot read ${path}: ${reason}`, { cause: error });
  }
}
