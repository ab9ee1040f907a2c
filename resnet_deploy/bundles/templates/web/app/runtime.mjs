// SPDX-License-Identifier: Apache-2.0
import { ClassifierError } from '../lib/errors.mjs';
import { checkThreads } from '../lib/loading.mjs';

/** @typedef {typeof import('onnxruntime-web/wasm')} Ort */

/** Used unasked: more than these gain little on networks of this size, and phones slow down. */
const MOST_THREADS = 4;

/**
 * Loads ONNX Runtime Web from `vendor/`, for the CPU.
 *
 * @param {number | string} [wanted] As {@link wantedThreads} returns them.
 * @returns {Promise<Ort>}
 * @throws {ClassifierError} `vendor/` was not filled; that many threads are none, or need headers
 *   that the server does not send.
 */
export async function openRuntime(wanted = 0) {
  const cores = navigator.hardwareConcurrency || 1;
  checkThreads(wanted, 'threads', cores);
  const threads = Number(wanted);
  // Threads share memory, which browsers allow to isolated pages only.
  const isolated = globalThis.crossOriginIsolated;
  if (threads > 1 && !isolated) {
    throw new ClassifierError(
      `threads is ${threads}, but browsers give one to this page: it needs the two headers that ` +
        'the README names',
    );
  }
  let ort;
  try {
    ort = /** @type {Ort} */ (await import('../vendor/ort.wasm.min.mjs'));
  } catch (error) {
    throw new ClassifierError(
      'vendor/ort.wasm.min.js can\'t be loaded: run "npm ci" and "node vendor.js" in the folder ' +
        'of this page, which puts ONNX Runtime Web there',
      { cause: error },
    );
  }
  ort.env.wasm.wasmPaths = {
    mjs: new URL('../vendor/ort-wasm-simd-threaded.mjs', import.meta.url).href,
    wasm: new URL('../vendor/ort-wasm-simd-threaded.wasm', import.meta.url).href,
  };
  ort.env.wasm.numThreads = threads || (isolated ? Math.min(cores, MOST_THREADS) : 1);
  return ort;
}

/**
 * Returns the threads that the address of the page asks for, as in `index.html?threads=2`.
 *
 * @param {string} search `location.search`.
 * @returns {number | string | undefined} What it says, where that is not a number.
 */
export function wantedThreads(search) {
  const text = new URLSearchParams(search).get('threads');
  if (text === null) return undefined;
  return /^\d{1,9}$/.test(text) ? Number(text) : text;
}
