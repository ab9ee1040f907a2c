// SPDX-License-Identifier: Apache-2.0
/**
 * Returns the element with an id that the page always has.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function element(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element ${id}`);
  return found;
}

/**
 * Returns a new element with a text in it.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} text
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function made(tag, text) {
  const created = document.createElement(tag);
  created.textContent = text;
  return created;
}

/**
 * Shows a text in an element, which is hidden without one.
 *
 * @param {string} id
 * @param {string} text
 */
export function show(id, text) {
  const place = element(id);
  place.textContent = text;
  place.hidden = text === '';
}

/**
 * @param {unknown} error
 * @returns {string}
 */
export function reason(error) {
  return error instanceof Error ? error.message : String(error);
}

/** @param {number} milliseconds */
export const brief = (milliseconds) => `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
