// SPDX-License-Identifier: Apache-2.0
// The page: a picture comes in, the likeliest classes, or the arrays, and the time go out.

import { contract } from '../lib/contract.mjs';
import { ClassifierError } from '../lib/errors.mjs';
import { norm } from '../lib/outputs.mjs';
import { openBundle, unverified } from './bundle.mjs';
import { decode, draw, preview } from './decode.mjs';
import { brief, element, made, reason, show } from './elements.mjs';
import { chosen, explained, measured } from './speed.mjs';

/** @typedef {import('../lib/classifier.mjs').Classifier} Classifier */
/** @typedef {import('../lib/types.d.mts').Answer} Answer */
/** @typedef {import('../lib/types.d.mts').Picture} Picture */

const SHOWN = 5;
const PREVIEW_SIDE = 640;

/** The most characters of a file's name in a sentence. */
const NAME_LENGTH = 40;

const HAS_CLASSES = contract.numClasses > 0;

/** How many lines there are in the result. */
const LINES = HAS_CLASSES
  ? Math.min(SHOWN, contract.k || contract.numClasses)
  : contract.outputs.length;

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

/**
 * A class, or an array.
 *
 * @typedef {object} Line
 * @property {string} name
 * @property {string} value
 * @property {number} [share] Of the bar below it; an array has none.
 */

/**
 * All that the page shows of a picture. What is not named is empty: nothing of an older picture
 * stays beside a newer one.
 *
 * @typedef {object} View
 * @property {string} [status] What is going on.
 * @property {string} [note] In place of the picture.
 * @property {string} [error] In place of the picture.
 * @property {string} [picture] The name of the picture that was drawn.
 * @property {readonly Line[]} [lines]
 * @property {string} [times]
 * @property {boolean} [busy] An answer is to come.
 */

const EMPTY = { note: 'No picture yet' };

const input = /** @type {HTMLInputElement} */ (element('file'));
const canvas = /** @type {HTMLCanvasElement} */ (element('preview'));

element('late').hidden = true;
view({ ...EMPTY, status: 'Starting…' });
const ready = start();
ready.catch((error) => {
  input.disabled = true;
  fail(error);
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

/** @param {View} shown */
function view({ status = '', note = '', error = '', picture, lines = [], times = '', busy }) {
  // Their places stay where they are empty: nothing moves when they fill.
  element('status').textContent = status;
  element('times').textContent = times;
  show('note', note);
  show('error', error);
  canvas.hidden = picture === undefined;
  canvas.setAttribute('aria-label', `The picture ${picture ?? ''}`);
  element('result').setAttribute('aria-busy', String(busy === true));
  showLines(lines);
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
  const picture = classifiers[0].prepare({ data: grey, width, height });
  const speed = chosen(await measured(classifiers, picture));
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
    if (files?.length) return handIn(files);
    asked++;
    input.value = '';
    return fail(new ClassifierError('That was no file: drop a picture from a folder.'));
  });
}

/**
 * Shows and classifies the first of some files; the page is empty where there is none.
 *
 * @param {FileList | null} files
 */
async function take(files) {
  const number = ++asked;
  last = null;
  const file = files?.[0];
  if (file === undefined) return view({ ...EMPTY, status: 'No picture is chosen.' });
  const name = shortened(file.name);
  view({ status: `Reading ${name}…`, note: 'Reading…', busy: true });
  try {
    const picture = await decode(file);
    if (number !== asked) return;
    const small = await preview(picture, PREVIEW_SIDE);
    if (number !== asked) return small.close();
    draw(small, canvas);
    last = { picture, name };
  } catch (error) {
    if (number === asked) fail(error);
    return;
  }
  await answer(last.picture, last.name);
}

/**
 * Classifies the picture that was drawn with the network that is taken, and shows the result.
 *
 * @param {Picture} picture
 * @param {string} name
 */
async function answer(picture, name) {
  const number = ++asked;
  view({ status: `${name} waits for the network…`, picture: name, busy: true });
  try {
    const classifier = (await ready)[taken];
    if (number !== asked) return;
    const doing = HAS_CLASSES ? 'Classifying' : 'Running on';
    view({ status: `${doing} ${name}…`, picture: name, busy: true });
    await painted();
    const before = performance.now();
    const prepared = classifier.prepare(picture);
    const between = performance.now();
    const found = await classifier.run(prepared);
    const after = performance.now();
    if (number !== asked) return;
    const lines = HAS_CLASSES ? classes(classifier, found) : arrays(found);
    const done = HAS_CLASSES ? 'classified' : 'run';
    view({
      status: `${name}: ${HAS_CLASSES ? `${lines[0].name}, ${lines[0].value}` : counted(lines)}`,
      picture: name,
      lines,
      times:
        `Prepared in ${brief(between - before)}, ${done} in ${brief(after - between)} ` +
        `(${classifier.network.precision}).`,
    });
  } catch (error) {
    if (number === asked) fail(error);
  }
}

/**
 * @param {Classifier} classifier
 * @param {Answer} found
 * @returns {Line[]}
 */
function classes(classifier, found) {
  return classifier.rank(found, SHOWN).map(({ label, probability }) => {
    return { name: label, value: percent(probability), share: probability };
  });
}

/**
 * @param {Answer} found
 * @returns {Line[]}
 */
function arrays({ outputs }) {
  return outputs.map(({ name, shape, data }) => {
    return { name, value: `${shape.join(' × ')}, norm ${norm(data).toPrecision(4)}` };
  });
}

/** @param {readonly Line[]} lines */
const counted = (lines) => (lines.length === 1 ? '1 array' : `${lines.length} arrays`);

/** @param {readonly Line[]} lines Where there are none, their places stay, empty. */
function showLines(lines) {
  const places = Array.from({ length: LINES }, (_, place) => lineOf(lines[place]));
  element('classes').replaceChildren(...places);
}

/** @param {Line} [found] */
function lineOf(found) {
  const line = document.createElement('li');
  line.append(made('span', found?.name ?? '\u00a0'), made('span', found?.value ?? ''));
  if (found === undefined) line.setAttribute('aria-hidden', 'true');
  if (HAS_CLASSES) {
    const bar = document.createElement('meter');
    bar.value = found?.share ?? 0;
    bar.setAttribute('aria-label', found?.name ?? '');
    line.append(bar);
  }
  return line;
}

/**
 * Shows what is wrong, alone. The picture that it is about can't be asked for again.
 *
 * @param {unknown} error
 */
function fail(error) {
  last = null;
  view({ status: 'No answer.', error: reason(error) });
}

/**
 * Returns a name that fits in a sentence: its start and its end.
 *
 * @param {string} name
 */
function shortened(name) {
  const letters = [...name];
  if (letters.length <= NAME_LENGTH) return name;
  const half = NAME_LENGTH / 2 - 1;
  return `${letters.slice(0, half).join('')}…${letters.slice(-half).join('')}`;
}

/** @param {number} share */
const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

/** Waits until what was said is on the screen; a hidden page draws nothing, so not forever. */
function painted() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
    setTimeout(resolve, 100);
  });
}
