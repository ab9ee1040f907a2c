// SPDX-License-Identifier: Apache-2.0
import { ClassifierError } from '../lib/errors.mjs';

/**
 * Returns the bytes of a file of the bundle, such as `golden/grey.pgm`.
 *
 * @param {string} file
 * @returns {Promise<Uint8Array>}
 * @throws {ClassifierError} The server does not have it, or can't be reached.
 */
export async function read(file) {
  let response;
  try {
    // Relative to this module: the bundle may lie anywhere on a server.
    response = await fetch(new URL(`../${file}`, import.meta.url));
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new ClassifierError(`${file} can't be loaded: is the server still running?`, {
      cause: error,
    });
  }
  throw new ClassifierError(
    `${file} can't be loaded: the server answers ${response.status}; copy the whole bundle to it`,
  );
}

/**
 * Returns the text of a file of the bundle.
 *
 * @param {string} file
 * @returns {Promise<string>}
 * @throws {ClassifierError} The server does not have it, or can't be reached.
 */
export async function readText(file) {
  return new TextDecoder().decode(await read(file));
}
