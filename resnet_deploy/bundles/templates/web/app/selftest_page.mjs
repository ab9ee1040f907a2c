// SPDX-License-Identifier: Apache-2.0
// Runs the golden cases on every network of the bundle.

import { contract } from '../lib/contract.mjs';
import { goldenResults, verdict } from '../lib/selftest.mjs';
import { openBundle, unverified } from './bundle.mjs';
import { brief, element, made, reason, show } from './elements.mjs';
import { read, readText } from './files.mjs';
import { chosen, explained, measured } from './speed.mjs';

/** @typedef {import('../lib/classifier.mjs').Classifier} Classifier */
/** @typedef {import('../lib/types.d.mts').CaseResult} CaseResult */
/** @typedef {import('../lib/types.d.mts').Verdict} Verdict */

/** What is compared, as the head of its column says. */
const VALUES = contract.numClasses > 0 ? 'Scores' : 'Values';

const say = (/** @type {string} */ message) => show('verdict', message);

element('late').hidden = true;
run().catch((error) => finish(false, `FAIL ${reason(error)}`, '', {}));

async function run() {
  const { classifiers, threads, version } = await openBundle(say);
  const manifest = JSON.parse(await readText('manifest.json'));
  /** @type {CaseResult[]} */
  const results = [];
  /** @type {Verdict[]} */
  const verdicts = [];
  for (const classifier of classifiers) {
    const own = [];
    for await (const result of goldenResults(classifier, manifest, read)) {
      own.push(result);
      element('cases').append(row(result));
      say(`${own.length} of ${manifest.golden.length} cases of ${classifier.network.file}…`);
    }
    results.push(...own);
    verdicts.push(verdict(own, classifier));
  }
  say('Measuring how fast this is…');
  const input = classifiers[0].prepare(grey());
  const speed = chosen(await measured(classifiers, input));
  const first = verdicts.find((outcome) => !outcome.passed);
  const message = first?.message ?? verdicts.map((outcome) => outcome.message).join('\n');
  show('speed', told(speed, threads, version));
  finish(first === undefined, message, first?.hint || unverified(classifiers), {
    runtime: { version, threads, isolated: globalThis.crossOriginIsolated },
    networks: contract.networks.map(({ file, precision }, index) => ({
      file,
      precision,
      tolerance: contract.networks[index].tolerance,
      median_ms: speed.medians[index],
      ...verdicts[index],
    })),
    speed,
    cases: results,
  });
}

/** A picture that needs no resizing. */
function grey() {
  const { width, height } = contract.preprocess;
  return { data: new Uint8Array(width * height * 3).fill(128), width, height };
}

/**
 * @param {import('./speed.mjs').Speed} speed
 * @param {number} threads
 * @param {string} version
 */
function told(speed, threads, version) {
  const names = contract.networks.map((network) => network.precision);
  const times = names.map((name, index) => `${name} ${brief(speed.medians[index])}`).join(', ');
  const runtime = `ONNX Runtime Web ${version}, ${threads === 1 ? '1 thread' : `${threads} threads`}`;
  return `${runtime}: ${times} per picture.${names.length > 1 ? ` ${explained(speed, names)}` : ''}`;
}

/** @param {CaseResult} one */
function row({ name, network, ok, inputDifference, scoreDifference, message }) {
  const line = document.createElement('tr');
  const result = cell('Result', ok ? 'PASS' : `FAIL ${message}`);
  result.classList.add(ok ? 'good' : 'bad');
  line.append(
    cell('Case', name),
    cell('Network', network),
    cell('Input', inputDifference === 0 ? 'equal' : `differs by ${inputDifference}`),
    cell(VALUES, scoreDifference === 0 ? 'equal' : `differ by ${scoreDifference.toExponential(1)}`),
    result,
  );
  // A narrow page shows the table as a list, which it would be to screen readers then.
  line.setAttribute('role', 'row');
  return line;
}

/**
 * @param {string} column Shown beside the text where the page is too narrow for columns.
 * @param {string} text
 */
function cell(column, text) {
  const created = made('td', text);
  created.dataset.column = column;
  created.setAttribute('role', 'cell');
  return created;
}

/**
 * Shows the verdict, for people and for programs: `<html data-verdict="PASS">` or `FAIL`.
 *
 * @param {boolean} passed
 * @param {string} message
 * @param {string} hint
 * @param {object} report
 */
function finish(passed, message, hint, report) {
  say(message);
  show('hint', hint);
  element('verdict').setAttribute('aria-busy', 'false');
  element('verdict').classList.add(passed ? 'good' : 'bad');
  // JSON has no infinity: a case without figures gets null.
  element('report').textContent = JSON.stringify({ passed, message, hint, ...report }, null, 1);
  document.documentElement.dataset.verdict = passed ? 'PASS' : 'FAIL';
}
