// SPDX-License-Identifier: Apache-2.0
import { ClassifierError } from '../lib/errors.mjs';

/** @typedef {typeof import('onnxruntime-web/wasm')} Ort */

/** More threads than these gain little on networks of this size, and phones slow down. */
const MOST_THREADS = 4;

/**
 * Loads ONNX Runtime Web from `vendor/`, for the CPU.
 *
 * @returns {Promise<Ort>}
 * @throws {ClassifierError} `vendor/` was not filled.
 */
export async function openRuntime() {
  let ort;
  try {
    ort = /** @type {Ort} */ (await import('../vendor/ort.wasm.min.mjs'));
  } catch (error) {
    throw new ClassifierError(
      'vendor/ort.wasm.min.js can\'t be loaded: run "npm install" in the folder of this page, ' +
        'which puts ONNX Runtime Web there',
      { cause: error },
    );
  }
  ort.env.wasm.wasmPaths = {
    mjs: new URL('../vendor/ort-wasm-simd-threaded.mjs', import.meta.url).href,
    wasm: new URL('../vendor/ort-wasm-simd-threaded.wasm', import.meta.url).href,
  };
  // Threads share memory, which browsers allow to isolated pages only.
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated
    ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS)
    : 1;
  return ort;
}
