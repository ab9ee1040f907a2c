// SPDX-License-Identifier: Apache-2.0
// What is checked before a network runs.

import { ClassifierError, oneLine } from './errors.mjs';

/** @typedef {typeof import('onnxruntime-common')} Ort */
/** @typedef {import('onnxruntime-common').InferenceSession} InferenceSession */
/** @typedef {import('onnxruntime-common').InferenceSession.SessionOptions} SessionOptions */
/** @typedef {import('./types.d.mts').Contract} Contract */
/** @typedef {import('./types.d.mts').Network} Network */
/** @typedef {Pick<SubtleCrypto, 'digest'>} Subtle */

/** More threads than any machine has CPUs: each takes memory, and time to start. */
export const MOST_THREADS = 1024;

/**
 * @param {unknown} threads Asked for; undefined and 0 leave the number to ONNX Runtime.
 * @param {string} [name] What to call it in errors.
 * @param {number} [most]
 * @throws {ClassifierError} It is not a number of threads.
 */
export function checkThreads(threads, name = 'threads', most = MOST_THREADS) {
  if (threads === undefined) return;
  if (!(Number.isInteger(threads) && 0 <= Number(threads) && Number(threads) <= most)) {
    throw new ClassifierError(
      `${name} is ${threads}: say how many CPUs a call may use, 1 to ${most}, or 0 to ` +
        'leave that to ONNX Runtime',
    );
  }
}

/**
 * @param {Ort} ort
 * @param {Contract} contract
 * @throws {ClassifierError} ONNX Runtime is too old for the network.
 */
export function checkRuntime(ort, contract) {
  const { node, web, common } = ort.env.versions;
  const found = node ?? web ?? common;
  if (older(found, contract.minOnnxRuntime)) {
    throw new ClassifierError(
      `ONNX Runtime ${found} is too old: the network needs ${contract.minOnnxRuntime} or later`,
    );
  }
}

/**
 * @param {string} version
 * @param {string} wanted
 */
function older(version, wanted) {
  const [major, minor = 0] = version.split('.').map(Number);
  const [wantedMajor, wantedMinor = 0] = wanted.split('.').map(Number);
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}

/**
 * Returns whether the bytes could be checked by SHA-256; their number always is.
 *
 * @param {Uint8Array} model
 * @param {Network} network
 * @param {Subtle | undefined} subtle
 * @returns {Promise<boolean>}
 * @throws {ClassifierError} They are not those of the file.
 */
export async function checkModel(model, network, subtle) {
  if (model.length !== network.bytes) {
    throw new ClassifierError(
      `${network.file} has ${model.length} bytes, not ${network.bytes}: it is cut short or ` +
        'another file, copy it again from the bundle',
    );
  }
  if (subtle === undefined) return false;
  const digest = new Uint8Array(await subtle.digest('SHA-256', new Uint8Array(model)));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  if (found !== network.sha256) {
    throw new ClassifierError(
      `${network.file} is damaged: its SHA-256 is ${found}, not ${network.sha256}; copy it again ` +
        'from the bundle',
    );
  }
  return true;
}

/**
 * @param {Ort} ort
 * @param {Uint8Array} model
 * @param {Network} network
 * @param {SessionOptions | undefined} sessionOptions
 * @returns {Promise<InferenceSession>}
 * @throws {ClassifierError} ONNX Runtime can't load them, or the options ask for too many threads.
 */
export async function createSession(ort, model, network, sessionOptions) {
  checkThreads(sessionOptions?.intraOpNumThreads, 'intraOpNumThreads');
  checkThreads(sessionOptions?.interOpNumThreads, 'interOpNumThreads');
  try {
    return await ort.InferenceSession.create(model, sessionOptions);
  } catch (error) {
    throw new ClassifierError(`ONNX Runtime can't load ${network.file}: ${oneLine(error)}`, {
      cause: error,
    });
  }
}
