// SPDX-License-Identifier: Apache-2.0
// Which of two networks is faster here: that differs from CPU to CPU and from browser to browser.

/** @typedef {import('../lib/classifier.mjs').Classifier} Classifier */
/** @typedef {import('../lib/types.d.mts').Input} Input */

/** Rounds that start earlier do not count, in ms: browsers compile hot code anew meanwhile. */
const WARM_UP = 400;

/** No further round starts later, in ms. */
const BUDGET = 1200;

/** Share of the rounds in which the second network must win to be taken. */
const CLEARLY = 0.75;

/**
 * @typedef {object} Speed
 * @property {number} fastest Number of the network to take.
 * @property {number[]} medians Of each network, in ms.
 * @property {number} rounds How many were counted.
 * @property {number} won In how many of them the second network was faster.
 */

/**
 * Runs all networks alternately and returns what each round took, in ms.
 *
 * @param {readonly Classifier[]} classifiers
 * @param {Input} input
 * @returns {Promise<number[][]>}
 */
export async function measured(classifiers, input) {
  for (const classifier of classifiers) await classifier.run(input);
  const rounds = [];
  const start = performance.now();
  for (let number = 0, now = start; rounds.length === 0 || now < start + BUDGET; number++) {
    // A picture that keeps coming first would also keep the better caches.
    const order = [...classifiers.keys()];
    if (number % 2 === 1) order.reverse();
    const round = classifiers.map(() => 0);
    for (const index of order) {
      const before = performance.now();
      await classifiers[index].run(input);
      round[index] = performance.now() - before;
    }
    const last = performance.now();
    // One round of a network that takes this long is as good as many of a quick one.
    if (now >= start + WARM_UP || last >= start + BUDGET) rounds.push(round);
    // Lets the page draw itself.
    await new Promise((resolve) => setTimeout(resolve));
    now = performance.now();
  }
  return rounds;
}

/**
 * Returns which network to take: the first, unless the second was faster in most of the rounds.
 *
 * @param {readonly (readonly number[])[]} rounds At least one.
 * @returns {Speed}
 */
export function chosen(rounds) {
  const medians = rounds[0].map((_, index) => median(rounds.map((round) => round[index])));
  const won = rounds.filter(([first, second]) => second < first).length;
  const fastest = won >= CLEARLY * rounds.length ? 1 : 0;
  return { fastest, medians, rounds: rounds.length, won };
}

/**
 * Returns what was measured, in a sentence.
 *
 * @param {Speed} speed
 * @param {readonly string[]} names Of the networks.
 * @returns {string}
 */
export function explained({ fastest, rounds, won }, names) {
  if (fastest === 1) return `${names[1]} was faster in ${won} of ${rounds} rounds: it is taken.`;
  const lost = rounds - won;
  return lost >= CLEARLY * rounds
    ? `${names[0]} was faster in ${lost} of ${rounds} rounds: it is taken.`
    : `No clear difference in ${rounds} rounds: ${names[0]} is taken.`;
}

/**
 * @param {readonly number[]} values
 * @returns {number}
 */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
