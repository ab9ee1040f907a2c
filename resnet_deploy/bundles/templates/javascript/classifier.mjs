// SPDX-License-Identifier: Apache-2.0
// The network and what is around it, on whichever ONNX Runtime is handed in: onnxruntime-node or
// onnxruntime-web.

import { ClassifierError } from './errors.mjs';
import { checkModel, checkRuntime, createSession } from './loading.mjs';
import { prepare } from './preprocess.mjs';

/** @typedef {typeof import('onnxruntime-common')} Ort */
/** @typedef {import('onnxruntime-common').InferenceSession} InferenceSession */
/** @typedef {import('onnxruntime-common').InferenceSession.SessionOptions} SessionOptions */
/** @typedef {import('./types.d.mts').Answer} Answer */
/** @typedef {import('./types.d.mts').Contract} Contract */
/** @typedef {import('./types.d.mts').Input} Input */
/** @typedef {import('./types.d.mts').Network} Network */
/** @typedef {import('./types.d.mts').Picture} Picture */
/** @typedef {import('./types.d.mts').Prediction} Prediction */

/**
 * What {@link Classifier.open} needs: ONNX Runtime, the bytes of the model file, the contract, one
 * label per class. `network` says which of `contract.networks` the bytes are; the first if absent.
 * `subtle` computes SHA-256; the global one if absent.
 *
 * @typedef {object} Parts
 * @property {Ort} ort
 * @property {Uint8Array} model
 * @property {Contract} contract
 * @property {readonly string[]} labels
 * @property {Network} [network]
 * @property {SessionOptions} [sessionOptions]
 * @property {Pick<SubtleCrypto, 'digest'>} [subtle]
 */

/**
 * Tells what is on a picture.
 *
 * Calls may overlap: the network runs them one after the other, and only the one that runs takes
 * memory. So a picture must stay as it is until its call has answered.
 */
export class Classifier {
  #parts;
  #session;
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();
  #closed = false;

  /**
   * @param {Required<Pick<Parts, 'ort' | 'contract' | 'labels' | 'network'>>} parts
   * @param {InferenceSession} session
   * @param {boolean} modelVerified
   */
  constructor(parts, session, modelVerified) {
    this.#parts = parts;
    this.#session = session;
    /** Whether the model file was found to be the one of this bundle, byte for byte. */
    this.modelVerified = modelVerified;
  }

  /**
   * Loads the network.
   *
   * The SHA-256 of the model is checked where `crypto.subtle` exists: not on pages that were loaded
   * by plain http from another machine. `modelVerified` tells.
   *
   * @param {Parts} parts
   * @returns {Promise<Classifier>}
   * @throws {ClassifierError} The model is not the one of this bundle, there are too many or too
   *   few labels, ONNX Runtime is too old or can't load the model.
   */
  static async open({
    ort,
    model,
    contract,
    labels,
    network = contract.networks[0],
    sessionOptions,
    subtle = globalThis.crypto?.subtle,
  }) {
    checkRuntime(ort, contract);
    if (labels.length !== contract.numClasses) {
      throw new ClassifierError(
        `there are ${labels.length} labels for the ${contract.numClasses} classes of ` +
          `${network.file}: hand in one for each`,
      );
    }
    const verified = await checkModel(model, network, subtle);
    const session = await createSession(ort, model, network, sessionOptions);
    const parts = { ort, contract, labels: Object.freeze([...labels]), network };
    return new Classifier(parts, session, verified);
  }

  /** What goes in and comes out. */
  get contract() {
    return this.#parts.contract;
  }

  /** Which of the networks in the bundle this is. */
  get network() {
    return this.#parts.network;
  }

  /** The names of the classes. */
  get labels() {
    return this.#parts.labels;
  }

  /**
   * Returns the `k` likeliest classes, best first; fewer where the network names fewer.
   *
   * @param {Picture} picture RGB of any size.
   * @param {number} [k]
   * @returns {Promise<Prediction[]>}
   * @throws {ClassifierError} The picture's size does not fit its bytes, or `k` is not positive.
   */
  async classify(picture, k = 5) {
    checkCount(k);
    return this.rank(await this.answer(picture), k);
  }

  /**
   * Returns what the network says to a picture.
   *
   * @param {Picture} picture RGB of any size.
   * @returns {Promise<Answer>}
   * @throws {ClassifierError} The picture's size does not fit its bytes.
   */
  async answer(picture) {
    return this.#inTurn(() => this.#infer(this.prepare(picture)));
  }

  /**
   * Returns the input that a picture becomes.
   *
   * @param {Picture} picture
   * @returns {Input}
   * @throws {ClassifierError} The picture's size does not fit its bytes.
   */
  prepare(picture) {
    return prepare(picture, this.#parts.contract);
  }

  /**
   * Returns what the network says to an input that {@link prepare} made.
   *
   * @param {Input} input
   * @returns {Promise<Answer>}
   */
  async run(input) {
    return this.#inTurn(() => this.#infer(input));
  }

  /**
   * Returns the `k` likeliest classes of an answer, best first; of equal ones the lower class.
   *
   * @param {Answer} answer
   * @param {number} [k]
   * @returns {Prediction[]}
   * @throws {ClassifierError} `k` is not positive.
   */
  rank({ scores, classes }, k = 5) {
    checkCount(k);
    const probabilities = this.#parts.contract.outputKind === 'logits' ? softmax(scores) : scores;
    const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
    return order.slice(0, k).map((place) => {
      const index = classes?.[place] ?? place;
      return {
        index,
        label: this.#parts.labels[index],
        score: scores[place],
        probability: probabilities[place],
      };
    });
  }

  /** Frees the network, after the calls that wait. */
  async close() {
    const release = () => this.#session.release();
    const freed = this.#closed ? this.#last : this.#inTurn(release);
    this.#closed = true;
    await freed;
  }

  /**
   * Runs `task` once all earlier ones are over, however they ended.
   *
   * @template T
   * @param {() => Promise<T>} task
   * @returns {Promise<T>}
   */
  #inTurn(task) {
    if (this.#closed) {
      return Promise.reject(new ClassifierError('the classifier is closed: open another one'));
    }
    const turn = this.#last.then(task);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /**
   * @param {Input} input
   * @returns {Promise<Answer>}
   */
  async #infer(input) {
    const { ort, contract, network } = this.#parts;
    const images = contract.batch ?? 1;
    const tensor = new ort.Tensor(contract.inputDtype, repeated(input.data, images), [
      images,
      ...input.shape,
    ]);
    const outputs = await this.#session.run({ [this.#session.inputNames[0]]: tensor });
    const [scores, classes] = this.#session.outputNames.map((name) => outputs[name].data);
    const count = contract.k || contract.numClasses;
    if (!(scores instanceof Float32Array) || scores.length !== count * images) {
      throw new ClassifierError(`${network.file} does not give ${count} scores per picture`);
    }
    if (!scores.every(Number.isFinite)) {
      throw new ClassifierError(`${network.file} gives NaN or infinity: its weights are broken`);
    }
    return {
      scores: scores.slice(0, count),
      classes: contract.k ? Int32Array.from(Array.from(classes.slice(0, count), Number)) : null,
    };
  }
}

/**
 * @param {number} k
 */
function checkCount(k) {
  if (!Number.isInteger(k) || k < 1) {
    throw new ClassifierError(`k is ${k}: ask for at least one class`);
  }
}

/**
 * Returns `values` `times` times, as a batch that can't be smaller takes one picture.
 *
 * @template {Float32Array | Uint8Array} T
 * @param {T} values
 * @param {number} times
 * @returns {T}
 */
function repeated(values, times) {
  if (times === 1) return values;
  const Values = /** @type {new (length: number) => T} */ (values.constructor);
  const all = new Values(values.length * times);
  for (let i = 0; i < times; i++) all.set(values, i * values.length);
  return all;
}

/**
 * @param {Float32Array} logits
 * @returns {Float64Array}
 */
function softmax(logits) {
  // Without the largest logit, which changes nothing, exp() could overflow.
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const powers = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}
