// SPDX-License-Identifier: Apache-2.0
import { ClassifierError } from './errors.mjs';

/** @typedef {import('./types.d.mts').Contract} Contract */

/**
 * Returns the names of the classes from the text of `labels.txt`: one line each.
 *
 * @param {string} text
 * @param {Contract} contract
 * @returns {string[]}
 * @throws {ClassifierError} There are more or fewer labels than classes.
 */
export function parseLabels(text, contract) {
  if (contract.numClasses === 0) return [];
  // A line may be empty, a file without its last line break is as good as one with it.
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  const found = text === '' ? 0 : lines.length;
  if (found !== contract.numClasses) {
    throw new ClassifierError(
      `${contract.labelsFile} has ${found} lines, but the network knows ${contract.numClasses} ` +
        'classes: use the labels that belong to it, one per line',
    );
  }
  return lines;
}
