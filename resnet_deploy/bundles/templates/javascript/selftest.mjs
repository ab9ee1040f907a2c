// SPDX-License-Identifier: Apache-2.0
// Golden cases: pictures, the exact inputs that they become, and what ONNX Runtime answered where
// the bundle was made.

import { printable } from './errors.mjs';
import { readNetpbm } from './netpbm.mjs';

/** @typedef {import('./types.d.mts').CaseResult} CaseResult */
/** @typedef {import('./types.d.mts').GoldenCase} GoldenCase */
/** @typedef {import('./types.d.mts').Input} Input */
/** @typedef {import('./types.d.mts').Manifest} Manifest */
/** @typedef {import('./types.d.mts').Output} Output */
/** @typedef {import('./types.d.mts').Verdict} Verdict */

/**
 * What is tested: a `Classifier`, of which no more than this is used.
 *
 * @typedef {Pick<import('./classifier.mjs').Classifier, 'contract' | 'network' | 'prepare' | 'rank' | 'run'>} Tested
 */

/**
 * Returns the bytes of a file of the bundle, such as `golden/grey.pgm`.
 *
 * @typedef {(file: string) => Promise<Uint8Array>} Read
 */

/**
 * Yields the outcome of each golden case, in the order of the manifest. A case that can't be read or
 * run is a result as well.
 *
 * @param {Tested} classifier
 * @param {Manifest} manifest
 * @param {Read} read
 * @returns {AsyncGenerator<CaseResult, void, void>}
 */
export async function* goldenResults(classifier, manifest, read) {
  for (const golden of manifest.golden) {
    try {
      yield await checked(classifier, golden, read);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      yield result(classifier, golden, Infinity, Infinity, message, false);
    }
  }
}

/**
 * Returns what the results say together: it passes only when there are some and all are right.
 *
 * @param {readonly CaseResult[]} results
 * @param {Tested} classifier
 * @returns {Verdict}
 */
export function verdict(results, classifier) {
  const inputDifference = Math.max(0, ...results.map((result) => result.inputDifference));
  const scoreDifference = Math.max(0, ...results.map((result) => result.scoreDifference));
  const first = results.find((result) => !result.ok);
  const { precision, tolerance } = classifier.network;
  const hasClasses = classifier.contract.numClasses > 0;
  const onlyScores = results.every((result) => result.inputDifference === 0);
  const numbers = { cases: results.length, inputDifference, scoreDifference };
  if (first !== undefined || results.length === 0) {
    const what = first === undefined ? 'there are no cases' : `${first.name}: ${first.message}`;
    const hint = first !== undefined && precision === 'int8' && onlyScores ? INT8_HINT : '';
    return { passed: false, ...numbers, message: `FAIL ${what}`, hint };
  }
  const message =
    `PASS ${results.length} cases of ${classifier.network.file}: inputs are equal, ` +
    `${hasClasses ? 'scores' : 'values'} differ by at most ${brief(scoreDifference)} of the ` +
    `largest (allowed: ${tolerance})${hasClasses ? `, ${classesEqual(results)}` : ''}`;
  return { passed: true, ...numbers, message, hint: '' };
}

/**
 * Returns in words in how many of the cases, which all passed, the best class was compared.
 *
 * @param {readonly CaseResult[]} results
 * @returns {string}
 */
function classesEqual(results) {
  const decided = results.filter((result) => result.decided).length;
  const open = results.length - decided;
  if (open === 0) return 'classes equal in all of them';
  const close = `${open} ${open === 1 ? 'is' : 'are'} too close to call`;
  if (decided === 0) return `classes not compared (all ${close})`;
  return `classes equal in all ${decided} cases that decide one (${close})`;
}

const INT8_HINT =
  'The inputs are right, the scores of the int8 network are not. The int8 arithmetic of this CPU ' +
  'may differ from that of the one the bundle was made on: x86 without VNNI saturates. ' +
  'resnet-deploy export without --allow-overflow makes a file that does not.';

/**
 * @param {Tested} classifier
 * @param {GoldenCase} golden
 * @param {Read} read
 * @returns {Promise<CaseResult>}
 */
async function checked(classifier, golden, read) {
  const recorded = golden.answers.find((answer) => answer.network === classifier.network.file);
  if (recorded === undefined) throw new Error(`no scores of ${classifier.network.file} are known`);
  const picture = readNetpbm(await read(golden.picture), golden.picture);
  const input = classifier.prepare(picture);
  const wanted = recordedInput(await read(golden.input), golden, input);
  const answer = await classifier.run(input);
  const inputs = furthest(input.data, wanted);
  const { relative, what } = furthestOutput(
    classifier, answer.outputs, floats(await read(recorded.scores)), recorded.scores,
  );
  const { tolerance } = classifier.network;
  let message = '';
  if (inputs.difference !== 0) {
    message =
      `input value ${position(inputs.at, input.shape)} is ${input.data[inputs.at]}, recorded ` +
      `${wanted[inputs.at]}; ${inputs.count} of ${wanted.length} differ`;
  } else if (!(relative <= tolerance)) {
    message = `${what}: ${brief(relative)} of the largest, allowed ${tolerance}`;
  } else if (recorded.top1_is_decided) {
    const [best] = classifier.rank(answer, 1);
    if (best.index !== recorded.top1) {
      message = `the best class is ${best.index}, recorded ${recorded.top1}`;
    }
  }
  return result(
    classifier, golden, inputs.difference, relative, message, recorded.top1_is_decided,
  );
}

/**
 * Returns by how much of its largest value an output is off, and where: of the one that is furthest.
 *
 * @param {Tested} classifier
 * @param {readonly Output[]} outputs
 * @param {Float32Array} recorded Of each output a part, one after the other.
 * @param {string} file
 */
function furthestOutput({ contract }, outputs, recorded, file) {
  const steps = contract.outputs.map(({ every }) => every);
  const sizes = outputs.map(({ data }, index) => Math.ceil(data.length / steps[index]));
  const size = sizes.reduce((a, b) => a + b, 0);
  if (recorded.length !== size) {
    const what = contract.numClasses > 0 ? 'scores' : 'values';
    throw new Error(`${file} has ${recorded.length} ${what}, not ${size}`);
  }
  let start = 0;
  let worst = { relative: 0, what: '' };
  for (const [index, { name, shape, data }] of outputs.entries()) {
    const wanted = recorded.subarray(start, (start += sizes[index]));
    const every = steps[index];
    const found = every === 1 ? data : wanted.map((_, place) => data[place * every]);
    const { difference, at } = furthest(found, wanted);
    const largest = wanted.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const relative = difference / (largest || 1);
    if (relative <= worst.relative) continue;
    const where =
      contract.numClasses > 0 ? `score ${at}` : `${name} value ${position(at * every, shape)}`;
    worst = { relative, what: `${where} is ${found[at]}, recorded ${wanted[at]}` };
  }
  return worst;
}

/**
 * @param {Tested} classifier
 * @param {GoldenCase} golden
 * @param {number} inputDifference
 * @param {number} scoreDifference
 * @param {string} message
 * @param {boolean} decided
 * @returns {CaseResult}
 */
function result(classifier, golden, inputDifference, scoreDifference, message, decided) {
  const { name } = golden;
  const network = classifier.network.file;
  const ok = message === '';
  const figures = { inputDifference, scoreDifference, decided };
  return { name, network, ok, ...figures, message: printable(message) };
}

/**
 * @param {Uint8Array} bytes
 * @param {GoldenCase} golden
 * @param {Input} input
 * @returns {Float32Array | Uint8Array}
 */
function recordedInput(bytes, golden, input) {
  const values = input.data instanceof Float32Array ? floats(bytes) : bytes;
  const shape = golden.input_shape;
  const count = shape.reduce((a, b) => a * b, 1);
  if (values.length !== count) {
    throw new Error(`${golden.input} has ${values.length} values, not ${count}: copy it again`);
  }
  if (String(shape) !== String(input.shape)) {
    throw new Error(`the input has the shape ${input.shape}, recorded ${shape}`);
  }
  return values;
}

/**
 * Returns the little-endian 32-bit floats in `bytes`, on every machine.
 *
 * @param {Uint8Array} bytes
 * @returns {Float32Array}
 */
function floats(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Math.floor(bytes.length / 4);
  return Float32Array.from({ length }, (_, i) => view.getFloat32(4 * i, true));
}

/**
 * Returns how much and where `found` is furthest from `wanted`, and in how many places they differ.
 * NaN is infinitely far.
 *
 * @param {Float32Array | Uint8Array} found
 * @param {Float32Array | Uint8Array} wanted
 */
function furthest(found, wanted) {
  let difference = 0;
  let at = 0;
  let count = 0;
  for (let i = 0; i < wanted.length; i++) {
    if (found[i] === wanted[i]) continue;
    const distance = Math.abs(found[i] - wanted[i]);
    count++;
    if (!(distance <= difference)) {
      difference = Number.isNaN(distance) ? Infinity : distance;
      at = i;
    }
  }
  return { difference, at, count };
}

/**
 * Returns where the value with a number is, such as `[0, 31, 7]`.
 *
 * @param {number} number
 * @param {readonly number[]} shape
 * @returns {string}
 */
function position(number, shape) {
  const places = [];
  let rest = number;
  for (const size of [...shape].reverse()) {
    places.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return `[${places.join(', ')}]`;
}

/** @param {number} value */
const brief = (value) => (value === 0 ? '0' : value.toExponential(1));
