// SPDX-License-Identifier: Apache-2.0
// The network and what is around it, on whichever ONNX Runtime is handed in: onnxruntime-node or
// onnxruntime-web. Long because one call and many, classes and arrays are the same few steps.

import { ClassifierError, oneLine } from './errors.mjs';
import { checkModel, checkRuntime, createSession } from './loading.mjs';
import { outputsOf } from './outputs.mjs';
import { checkPicture, prepare } from './preprocess.mjs';

/** @typedef {typeof import('onnxruntime-common')} Ort */
/** @typedef {import('onnxruntime-common').InferenceSession} InferenceSession */
/** @typedef {import('onnxruntime-common').InferenceSession.SessionOptions} SessionOptions */
/** @typedef {import('./types.d.mts').Answer} Answer */
/** @typedef {import('./types.d.mts').Contract} Contract */
/** @typedef {import('./types.d.mts').Input} Input */
/** @typedef {import('./types.d.mts').Network} Network */
/** @typedef {import('./types.d.mts').Output} Output */
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

/** The most values of pictures that the network is given at once: 8 of 224x224 pixels in RGB. */
const MOST_VALUES = 8 * 224 * 224 * 3;

/** The most pictures that it is given at once: more gain nothing, even of small ones. */
const MOST_PICTURES = 64;

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
    this.#checkClasses();
    checkCount(k);
    return this.rank(await this.answer(picture), k);
  }

  /**
   * Returns the `k` likeliest classes of each picture, in their order, as {@link classify} does.
   *
   * The network takes some at a time, so that memory does not grow with their number.
   *
   * @param {readonly Picture[]} pictures RGB, each of any size.
   * @param {number} [k]
   * @returns {Promise<Prediction[][]>}
   * @throws {ClassifierError} The network takes a fixed number of pictures; one of these can't be
   *   classified, and which; `k` is not positive.
   */
  async classifyBatch(pictures, k = 5) {
    this.#checkClasses();
    checkCount(k);
    return (await this.answerBatch(pictures)).map((answer) => this.rank(answer, k));
  }

  /**
   * Returns the arrays that the network gives for a picture, such as feature maps or an embedding.
   *
   * @param {Picture} picture RGB of any size.
   * @returns {Promise<readonly Output[]>} In the order of `contract.outputs`.
   * @throws {ClassifierError} The picture's size does not fit its bytes.
   */
  async outputs(picture) {
    return (await this.answer(picture)).outputs;
  }

  /**
   * Returns the arrays for each picture, in their order, as {@link outputs} does.
   *
   * @param {readonly Picture[]} pictures RGB, each of any size.
   * @returns {Promise<Array<readonly Output[]>>}
   * @throws {ClassifierError} As {@link answerBatch}.
   */
  async outputsBatch(pictures) {
    return (await this.answerBatch(pictures)).map((answer) => answer.outputs);
  }

  /**
   * Returns what the network says to a picture.
   *
   * @param {Picture} picture RGB of any size.
   * @returns {Promise<Answer>}
   * @throws {ClassifierError} The picture's size does not fit its bytes.
   */
  async answer(picture) {
    return this.#inTurn(async () => (await this.#infer([this.prepare(picture)]))[0]);
  }

  /**
   * Returns what the network says to each picture, in their order.
   *
   * @param {readonly Picture[]} pictures RGB, each of any size.
   * @returns {Promise<Answer[]>}
   * @throws {ClassifierError} The network takes a fixed number of pictures, or one of these can't
   *   be classified: all are looked at before the first one runs.
   */
  async answerBatch(pictures) {
    const { contract, network } = this.#parts;
    if (contract.batch !== null) {
      const call = contract.numClasses > 0 ? 'classify' : 'outputs';
      const takes = contract.batch === 1 ? '1 picture' : `${contract.batch} pictures`;
      throw new ClassifierError(
        `${network.file} takes ${takes} at a time: call ${call}() for each, or bundle a file ` +
          'that was exported without --batch-size',
      );
    }
    if (!Array.isArray(pictures)) throw new ClassifierError('a batch is an array of pictures');
    pictures.forEach((picture, index) => inBatch(index, () => checkPicture(picture)));
    return this.#inTurn(() => this.#inChunks([...pictures]));
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
    return this.#inTurn(async () => (await this.#infer([input]))[0]);
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
    this.#checkClasses();
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

  /** @throws {ClassifierError} The network gives arrays, and so names no class. */
  #checkClasses() {
    const { contract, network } = this.#parts;
    if (contract.numClasses > 0) return;
    const names = contract.outputs.map(({ name }) => name).join(', ');
    throw new ClassifierError(
      `${network.file} gives ${contract.outputKind} (${names}), not classes: call outputs()`,
    );
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
   * Runs the network on a few pictures at a time, all of one shape.
   *
   * @param {readonly Picture[]} pictures
   * @returns {Promise<Answer[]>}
   */
  async #inChunks(pictures) {
    /** @type {Answer[]} */
    const answers = [];
    /** @type {Input[]} */
    let chunk = [];
    const flush = async () => {
      if (chunk.length > 0) answers.push(...(await this.#infer(chunk)));
      chunk = [];
    };
    for (const [index, picture] of pictures.entries()) {
      const input = inBatch(index, () => this.prepare(picture));
      const full = (chunk.length + 1) * input.data.length > MOST_VALUES;
      const other = chunk.length > 0 && String(chunk[0].shape) !== String(input.shape);
      if (full || other || chunk.length === MOST_PICTURES) await flush();
      chunk.push(input);
    }
    await flush();
    return answers;
  }

  /**
   * @param {import('onnxruntime-common').Tensor} tensor
   * @returns {ReturnType<InferenceSession['run']>}
   */
  async #outputs(tensor) {
    try {
      return await this.#session.run({ [this.#session.inputNames[0]]: tensor });
    } catch (error) {
      throw new ClassifierError(
        `${this.#parts.network.file} can't be run on ${tensor.dims.join('x')}: ${oneLine(error)}`,
        { cause: error },
      );
    }
  }

  /**
   * @param {readonly Input[]} inputs At least one, all of one shape; one where the batch is fixed.
   * @returns {Promise<Answer[]>}
   */
  async #infer(inputs) {
    const { ort, contract, network } = this.#parts;
    const images = contract.batch ?? inputs.length;
    const tensor = new ort.Tensor(contract.inputDtype, joined(inputs, images), [
      images,
      ...inputs[0].shape,
    ]);
    const outputs = await this.#outputs(tensor);
    const each = outputsOf(outputs, contract, network, images, inputs.length);
    const classes = contract.k ? outputs[this.#session.outputNames[1]].data : [];
    return each.map((arrays, index) => {
      const [from, to] = [index * contract.k, (index + 1) * contract.k];
      return {
        outputs: arrays,
        scores: contract.numClasses > 0 ? arrays[0].data : new Float32Array(0),
        classes: contract.k ? Int32Array.from(Array.from(classes.slice(from, to), Number)) : null,
      };
    });
  }
}

/**
 * Returns what `look` does, whose error says which picture of a batch it is about.
 *
 * @template T
 * @param {number} index
 * @param {() => T} look
 * @returns {T}
 */
function inBatch(index, look) {
  try {
    return look();
  } catch (error) {
    if (!(error instanceof ClassifierError)) throw error;
    throw new ClassifierError(`pictures[${index}]: ${error.message}`, { cause: error });
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
 * Returns the values of all inputs; the last one fills a batch that can't be smaller.
 *
 * @param {readonly Input[]} inputs
 * @param {number} images
 * @returns {Input['data']}
 */
function joined(inputs, images) {
  const [{ data }] = inputs;
  if (images === 1) return data;
  const length = data.length * images;
  const all = data instanceof Float32Array ? new Float32Array(length) : new Uint8Array(length);
  for (let i = 0; i < images; i++) {
    all.set(inputs[Math.min(i, inputs.length - 1)].data, i * data.length);
  }
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
