// SPDX-License-Identifier: Apache-2.0
/** An error that one line explains: what is wrong, where, what to do. */
export class ClassifierError extends Error {
  /**
   * @param {string} message
   * @param {ErrorOptions} [options]
   */
  constructor(message, options) {
    super(message, options);
    this.name = 'ClassifierError';
  }
}

/**
 * Returns what an error says in one line.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function oneLine(error) {
  const text = error instanceof Error ? error.message : String(error);
  return text.split(/\s*\n\s*/).filter(Boolean).join('; ');
}
