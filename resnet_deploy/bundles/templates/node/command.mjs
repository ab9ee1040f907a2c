// SPDX-License-Identifier: Apache-2.0
// What the programs of this bundle have in common: how they read their command lines.

import { parseArgs } from 'node:util';

/**
 * Returns the options and the other words of the command line. `--help` prints `usage` and ends the
 * program with 0; what the program does not know ends it with 2, and one line that says so.
 *
 * @template {NonNullable<import('node:util').ParseArgsConfig['options']>} Options
 * @param {string} usage Its first line is the usage alone.
 * @param {Options} options As `parseArgs` takes them; `help` is added.
 * @param {string[]} [words]
 */
export function commandLine(usage, options, words = process.argv.slice(2)) {
  try {
    const help = /** @type {const} */ ({ type: 'boolean', short: 'h' });
    const config = { args: words, options: { ...options, help }, allowPositionals: true };
    const { values, positionals } = parseArgs(config);
    if (!values.help) return { values, positionals };
  } catch (error) {
    // Node adds how to pass such a word on, which is of no use here.
    const [what] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/);
    return misused(usage, what);
  }
  console.log(usage);
  return process.exit(0);
}

/**
 * Ends the program with 2: it says what is wrong, and how it is used.
 *
 * @param {string} usage
 * @param {string} what
 * @returns {never}
 */
export function misused(usage, what) {
  console.error(`${what}; ${usage.split('\n')[0]}`);
  return process.exit(2);
}

/**
 * Returns the whole number that an option says, or undefined where it is not given.
 *
 * @param {string} usage
 * @param {string} name Of the option.
 * @param {unknown} text
 * @param {number} least
 * @param {number} most
 * @returns {number | undefined}
 */
export function wholeNumber(usage, name, text, least, most) {
  if (text === undefined) return undefined;
  const number = /^\d{1,9}$/.test(String(text)) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  return misused(usage, `--${name} is ${text}, not a whole number from ${least} to ${most}`);
}
