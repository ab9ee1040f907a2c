// SPDX-License-Identifier: Apache-2.0
/** @typedef {import('./types.d.mts').Contract} Contract */

/**
 * @template T
 * @param {T} value
 * @returns {T}
 */
function frozen(value) {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(frozen);
    Object.freeze(value);
  }
  return value;
}

/**
 * What goes into the networks of this bundle, and what comes out.
 *
 * @type {Contract}
 */
export const contract = frozen(
  {{ described | js }},
);
