// SPDX-License-Identifier: Apache-2.0
/**
 * An error that one line explains: what is wrong, where, what to do. Names in it are shown as
 * {@link printable} does.
 */
export class ClassifierError extends Error {
  /**
   * @param {string} message
   * @param {ErrorOptions} [options]
   */
  constructor(message, options) {
    super(printable(message), options);
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
  return printable(text.split(/\s*\n\s*/).filter(Boolean).join('; '));
}

/**
 * Returns a name out of a file with a question mark in place of each character that a terminal or a
 * page would obey: a control character, a separator of lines, a mark that turns the direction of
 * writing.
 *
 * @param {string} text
 */
export function printable(text) {
  const obeyed = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
  return text.replace(obeyed, '?');
}
