// SPDX-License-Identifier: Apache-2.0
// The page: a picture comes in, the likeliest classes, or the arrays, and the time go out.

import { contract } from '../lib/contract.mjs';
import { norm } from '../lib/outputs.mjs';
import { openBundle, unverified } from './bundle.mjs';
import { decode, draw, preview } from './decode.mjs';
import { brief, element, made, reason, show } from './elements.mjs';
import { chosen, explained, measured } from './speed.mjs';

/** @typedef {import('../lib/classifier.mjs').Classifier} Classifier */
/** @typedef {import('../lib/types.d.mts').Output} Output */
/** @typedef {import('../lib/types.d.mts').Picture} Picture */
/** @typedef {import('../lib/types.d.mts').Prediction} Prediction */

const SHOWN = 5;
const PREVIEW_SIDE = 640;

const verb = contract.numClasses > 0 ? 'classified' : 'run';

/** Which of the networks answers. */
let taken = 0;

/** How many pictures were asked for: an answer to an older one comes too late. */
let asked = 0;

/**
 * @typedef {object} Shown
 * @property {Picture} picture
 * @property {string} name
 */

/** @type {Shown | null} */
let last = null;

element('late').hidden = true;
const ready = start();
ready.catch((error) => {
  show('error', reason(error));
  show('status', '');
  /** @type {HTMLInputElement} */ (element('file')).disabled = true;
});
listen();

/** @returns {Promise<Classifier[]>} */
async function start() {
  const { classifiers, threads, version } = await openBundle((message) => show('status', message));
  const cores = threads === 1 ? '1 thread' : `${threads} threads`;
  show('runtime', `ONNX Runtime Web ${version}, ${cores}`);
  show('warning', unverified(classifiers));
  if (classifiers.length > 1) await choose(classifiers);
  show('status', 'Ready for a picture.');
  return classifiers;
}

/**
 * Takes the faster network, and says why.
 *
 * @param {readonly Classifier[]} classifiers
 */
async function choose(classifiers) {
  show('status', 'Measuring which network is faster here…');
  const { width, height } = contract.preprocess;
  const grey = new Uint8Array(width * height * 3).fill(128);
  const input = classifiers[0].prepare({ data: grey, width, height });
  const speed = chosen(await measured(classifiers, input));
  const names = contract.networks.map((network) => network.precision);
  contract.networks.forEach((network, index) => {
    show(`speed-${index}`, `${network.file}: ${brief(speed.medians[index])}`);
  });
  show('choice', explained(speed, names));
  taken = speed.fastest;
  const networks = /** @type {HTMLFieldSetElement} */ (element('networks'));
  networks.disabled = false;
  const radios = /** @type {NodeListOf<HTMLInputElement>} */ (networks.querySelectorAll('input'));
  radios[taken].checked = true;
  networks.addEventListener('change', () => {
    taken = [...radios].findIndex((radio) => radio.checked);
    if (last !== null) answer(last.picture, last.name);
  });
}

/** Takes pictures from the dialog, from the clipboard and from whatever is dropped. */
function listen() {
  const input = /** @type {HTMLInputElement} */ (element('file'));
  input.addEventListener('change', () => take(input.files));
  const handIn = (/** @type {FileList} */ files) => {
    // Its name stands beside the button then, in place of that of an older file.
    input.files = files;
    take(files);
  };
  document.addEventListener('paste', (event) => {
    if (event.clipboardData?.files.length) handIn(event.clipboardData.files);
  });
  const dragging = (/** @type {boolean} */ on) => document.body.classList.toggle('dragging', on);
  document.addEventListener('dragover', (event) => {
    // Without this the browser leaves the page and shows the file alone.
    event.preventDefault();
    dragging(true);
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) dragging(false);
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    dragging(false);
    const files = event.dataTransfer?.files;
    if (files?.length) handIn(files);
    else show('error', 'That was no file: drop a picture from a folder.');
  });
}

/**
 * Shows and classifies the first of some files.
 *
 * @param {FileList | null} files
 */
async function take(files) {
  const file = files?.[0];
  if (file === undefined) return;
  const number = ++asked;
  last = null;
  show('error', '');
  show('status', `Reading ${file.name}…`);
  try {
    const picture = await decode(file);
    const small = await preview(picture, PREVIEW_SIDE);
    if (number !== asked) return;
    const canvas = /** @type {HTMLCanvasElement} */ (element('preview'));
    draw(small, canvas);
    canvas.setAttribute('aria-label', `The picture ${file.name}`);
    canvas.hidden = false;
    last = { picture, name: file.name };
  } catch (error) {
    if (number === asked) fail(error);
    return;
  }
  await answer(last.picture, last.name);
}

/**
 * Classifies a picture with the network that is taken, and shows the result.
 *
 * @param {Picture} picture
 * @param {string} name
 */
async function answer(picture, name) {
  const number = ++asked;
  try {
    const classifier = (await ready)[taken];
    if (number !== asked) return;
    show('status', contract.numClasses > 0 ? `Classifying ${name}…` : `Running on ${name}…`);
    await painted();
    const before = performance.now();
    const input = classifier.prepare(picture);
    const between = performance.now();
    const found = await classifier.run(input);
    const after = performance.now();
    if (number !== asked) return;
    const said = contract.numClasses > 0
      ? showClasses(classifier.rank(found, SHOWN))
      : showArrays(found.outputs);
    show(
      'times',
      `Prepared in ${brief(between - before)}, ${verb} in ${brief(after - between)} ` +
        `(${classifier.network.precision}).`,
    );
    show('status', `${name}: ${said}`);
  } catch (error) {
    if (number === asked) fail(error);
  }
}

/**
 * Returns in words what is best.
 *
 * @param {readonly Prediction[]} predictions
 */
function showClasses(predictions) {
  const lines = predictions.map(({ label, probability }) => {
    const line = document.createElement('li');
    const bar = document.createElement('meter');
    bar.value = probability;
    bar.setAttribute('aria-label', label);
    line.append(made('span', label), made('span', percent(probability)), bar);
    return line;
  });
  element('classes').replaceChildren(...lines);
  element('result').hidden = false;
  return `${predictions[0].label}, ${percent(predictions[0].probability)}`;
}

/**
 * Shows name, shape and length of each array, and returns in words how many there are.
 *
 * @param {readonly Output[]} outputs
 */
function showArrays(outputs) {
  const lines = outputs.map(({ name, shape, data }) => {
    const line = document.createElement('li');
    const size = `${shape.join(' × ')}, norm ${norm(data).toPrecision(4)}`;
    line.append(made('span', name), made('span', size));
    return line;
  });
  element('classes').replaceChildren(...lines);
  element('result').hidden = false;
  return outputs.length === 1 ? '1 array' : `${outputs.length} arrays`;
}

/** @param {unknown} error */
function fail(error) {
  show('error', reason(error));
  show('status', '');
  element('result').hidden = true;
}

/** @param {number} share */
const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

/** Waits until what was said is on the screen; a hidden page draws nothing, so not for ever. */
function painted() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
    setTimeout(resolve, 100);
  });
}
