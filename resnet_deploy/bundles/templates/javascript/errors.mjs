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
