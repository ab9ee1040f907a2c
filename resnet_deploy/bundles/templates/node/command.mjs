// SPDX-License-Identifier: Apache-2.0
// What the programs of this bundle have in common: how they read their command lines.

import { parseArgs } from 'node:util';

import { printable } from './lib/errors.mjs';

/**
 * Returns the options, each with its text, and the other words of the command line. `--help` prints
 * `usage` and ends the program with 0; what the program does not know ends it with 2.
 *
 * @param {string} usage Its first line is the usage alone.
 * @param {readonly string[]} names Of the options.
 * @returns {({ values: Record<string, string | undefined>, positionals: string[] })}
 */
export function commandLine(usage, names) {
  /** @type {Record<string, { type: 'string' | 'boolean', short?: string }>} */
  const options = { help: { type: 'boolean', short: 'h' } };
  process.stdout.on('error', readerGone);
  for (const name of names) options[name] = { type: 'string' };
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    if (!values.help) {
      return { values: /** @type {Record<string, string>} */ (values), positionals };
    }
  } catch (error) {
    // Node adds how to pass such a word on, which is of no use here.
    const [what] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/);
    return misused(usage, what);
  }
  console.log(usage);
  return process.exit(0);
}

/**
 * Ends the program where nobody reads on what it prints, as in `node classify.mjs * | head`.
 *
 * @param {NodeJS.ErrnoException} error
 */
function readerGone(error) {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
}

/**
 * Ends the program with 2: it says what is wrong, and how it is used.
 *
 * @param {string} usage
 * @param {string} what
 * @returns {never}
 */
export function misused(usage, what) {
  console.error(`${printable(what)}; ${usage.split('\n')[0]}`);
  return process.exit(2);
}

/**
 * Returns the whole number that an option says, or undefined where it is not given.
 *
 * @param {string} usage
 * @param {string} name Of the option.
 * @param {string | undefined} text
 * @param {number} least
 * @param {number} most
 * @returns {number | undefined}
 */
export function wholeNumber(usage, name, text, least, most) {
  if (text === undefined) return undefined;
  const number = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  return misused(usage, `--${name} is ${text}, not a whole number from ${least} to ${most}`);
}
