// SPDX-License-Identifier: Apache-2.0
import { Classifier } from '../lib/classifier.mjs';
import { contract } from '../lib/contract.mjs';
import { parseLabels } from '../lib/labels.mjs';
import { read, readText } from './files.mjs';
import { openRuntime, wantedThreads } from './runtime.mjs';

/**
 * @typedef {object} Opened
 * @property {Classifier[]} classifiers One for each network, in the order of the contract.
 * @property {number} threads
 * @property {string} version Of ONNX Runtime Web.
 */

/**
 * Loads all networks of the bundle.
 *
 * @param {(message: string) => void} say Told what is going on.
 * @param {number | string} [threads] For one call, at most as many as there are CPUs; by default what the
 *   address of the page asks for (`?threads=2`), else up to four.
 * @returns {Promise<Opened>}
 * @throws {import('../lib/errors.mjs').ClassifierError} A file is missing or damaged, or there are
 *   not that many threads.
 */
export async function openBundle(say, threads = wantedThreads(location.search)) {
  say('Loading ONNX Runtime…');
  const ort = await openRuntime(threads);
  const text = contract.labelsFile ? await readText(contract.labelsFile) : '';
  const labels = parseLabels(text, contract);
  const classifiers = [];
  for (const network of contract.networks) {
    say(`Loading ${network.file} (${(network.bytes / 1e6).toFixed(1)} MB)…`);
    const model = await read(network.file);
    const sessionOptions = { executionProviders: ['wasm'] };
    classifiers.push(
      await Classifier.open({ ort, model, contract, labels, network, sessionOptions }),
    );
  }
  return {
    classifiers,
    threads: ort.env.wasm.numThreads ?? 1,
    version: ort.env.versions.web ?? ort.env.versions.common,
  };
}

/**
 * Returns what to tell about networks whose bytes could not be checked; empty where all were.
 *
 * @param {readonly Classifier[]} classifiers
 * @returns {string}
 */
export function unverified(classifiers) {
  const unchecked = classifiers.filter((classifier) => !classifier.modelVerified);
  const files = unchecked.map((classifier) => classifier.network.file);
  if (files.length === 0) return '';
  return (
    `Not checked for damage: ${files.join(', ')}. Browsers compute SHA-256 only on pages that ` +
    'came by https or from this machine.'
  );
}
