// SPDX-License-Identifier: Apache-2.0
import { webcrypto } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Classifier } from './lib/classifier.mjs';
import { contract } from './lib/contract.mjs';
import { ClassifierError, oneLine } from './lib/errors.mjs';
import { parseLabels } from './lib/labels.mjs';
import { MOST_THREADS, checkThreads } from './lib/loading.mjs';
import { readNetpbm } from './lib/netpbm.mjs';
import { MissingDecoderError, decodePicture } from './pictures.mjs';

export {
  Classifier,
  ClassifierError,
  MOST_THREADS,
  MissingDecoderError,
  contract,
  decodePicture,
  readNetpbm,
};

const HERE = fileURLToPath(new URL('.', import.meta.url));

/**
 * Opens the classifier of this bundle.
 *
 * @param {import('./index.mjs').OpenOptions} [options]
 * @returns {Promise<Classifier>}
 * @throws {ClassifierError} A file is missing, damaged or does not fit the others; onnxruntime-node
 *   is not installed; that many threads are none.
 */
export async function openClassifier(options = {}) {
  const tuned = Math.min(contract.threads, availableParallelism());
  const { folder = HERE, threads = tuned, sessionOptions } = options;
  checkThreads(threads);
  const ort = await openRuntime();
  const model = await bytesOf(join(folder, contract.networks[0].file), 'copy the whole bundle');
  const labels = contract.labelsFile
    ? await bytesOf(join(folder, contract.labelsFile), 'copy the whole bundle')
    : new Uint8Array();
  return Classifier.open({
    ort,
    model,
    contract,
    labels: parseLabels(new TextDecoder().decode(labels), contract),
    sessionOptions: {
      ...(threads && { intraOpNumThreads: threads }),
      extra: contract.sessionConfig,
      ...sessionOptions,
    },
    subtle: webcrypto.subtle,
  });
}

/**
 * Reads a picture file, number for number as Python does.
 *
 * @param {string} path
 * @returns {Promise<import('./lib/types.d.mts').Picture>}
 * @throws {ClassifierError} It is missing, damaged, too large, or of a format not read here.
 */
export async function readPicture(path) {
  return decodePicture(await bytesOf(path, 'name the file of a picture'), path);
}

/** @returns {Promise<typeof import('onnxruntime-node')>} */
async function openRuntime() {
  // Official builds of ONNX Runtime report to their maker unless this is set before they are loaded.
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  try {
    return await import('onnxruntime-node');
  } catch (error) {
    const code = /** @type {NodeJS.ErrnoException} */ (error).code;
    const where = `${process.platform}-${process.arch}`;
    const missing =
      code === 'ERR_MODULE_NOT_FOUND'
        ? 'onnxruntime-node is not installed'
        : `onnxruntime-node can't be loaded on ${where} (${oneLine(error)})`;
    throw new ClassifierError(`${missing}: run "npm ci" in ${HERE}`, { cause: error });
  }
}

/**
 * @param {string} path
 * @param {string} hint What to do where there is no such file.
 * @returns {Promise<Uint8Array>}
 */
async function bytesOf(path, hint) {
  try {
    return await readFile(path);
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    const what =
      {
        ENOENT: `${path} does not exist: ${hint}`,
        ENOTDIR: `${path} does not exist: ${hint}`,
        EISDIR: `${path} is a folder: ${hint}`,
        EACCES: `${path} can't be read: you are not allowed to`,
      }[String(code)] ?? `${path} can't be read: ${oneLine(error)}`;
    throw new ClassifierError(what, { cause: error });
  }
}
