// SPDX-License-Identifier: Apache-2.0
import type { InferenceSession } from 'onnxruntime-common';

import type {
  Answer,
  Contract,
  Input,
  Network,
  Output,
  Picture,
  Prediction,
} from './lib/types.d.mts';

export type { Answer, Contract, Input, Network, Output, Picture, Prediction };

/** An error that one line explains: what is wrong, where, what to do. */
export declare class ClassifierError extends Error {}

/** A file of a format that `sharp` decodes, which is not installed, or not for this machine. */
export declare class MissingDecoderError extends ClassifierError {
  readonly format: 'JPEG' | 'WebP';
}

/**
 * Tells what is on a picture.
 *
 * Calls may overlap: the network runs them one after the other, and only the one that runs takes
 * memory. So a picture must stay as it is until its call has answered.
 */
export declare class Classifier {
  private constructor();

  /** What goes in and comes out. */
  readonly contract: Contract;
  readonly network: Network;
  /** The names of the classes. */
  readonly labels: readonly string[];
  /** Whether the model file was found to be the one of this bundle, byte for byte. */
  readonly modelVerified: boolean;

  /**
   * Returns the `k` likeliest classes (5 if not given), best first.
   *
   * Rejects with a {@link ClassifierError} when the picture's size does not fit its bytes.
   */
  classify(picture: Picture, k?: number): Promise<Prediction[]>;

  /**
   * Returns the `k` likeliest classes of each picture, in their order, as `classify` does.
   *
   * The network takes some at a time, so that memory does not grow with their number. Rejects with
   * a {@link ClassifierError} when the network takes a fixed number of pictures, or when one of these
   * can't be classified: it says which, as in `pictures[3]: ...`.
   */
  classifyBatch(pictures: readonly Picture[], k?: number): Promise<Prediction[][]>;

  /**
   * Returns the arrays that the network gives for a picture, in the order of `contract.outputs`:
   * all that there is where it gives features or an embedding, for which `classify` rejects.
   */
  outputs(picture: Picture): Promise<readonly Output[]>;

  /** Returns the arrays for each picture; rejects as `classifyBatch` does. */
  outputsBatch(pictures: readonly Picture[]): Promise<Array<readonly Output[]>>;

  /** Returns what the network says to a picture: a score per class, or arrays. */
  answer(picture: Picture): Promise<Answer>;

  /** Returns what the network says to each picture; rejects as `classifyBatch` does. */
  answerBatch(pictures: readonly Picture[]): Promise<Answer[]>;

  /** Returns the input that a picture becomes, without running the network. */
  prepare(picture: Picture): Input;

  /** Returns what the network says to an input that `prepare` made. */
  run(input: Input): Promise<Answer>;

  /** Returns the `k` likeliest classes of an answer, best first. */
  rank(answer: Answer, k?: number): Prediction[];

  /** Frees the network, after the calls that wait. */
  close(): Promise<void>;
}

/** How to open a classifier; everything may be left out. */
export interface OpenOptions {
  /** Where the model and the labels are, if not beside the module. */
  folder?: string;
  /**
   * How many CPUs a call may use, up to {@link MOST_THREADS}; 0: ONNX Runtime decides. By default
   * what was found where the network was tuned, `contract.threads`, but no more than there are.
   */
  threads?: number;
  /** For ONNX Runtime, such as `{ enableCpuMemArena: false }`. */
  sessionOptions?: InferenceSession.SessionOptions;
}

/** More threads are refused. */
export declare const MOST_THREADS: number;

/** What goes into the network of this bundle, and what comes out. */
export declare const contract: Contract;

/**
 * Opens the classifier of this bundle.
 *
 * Rejects with a {@link ClassifierError} when a file is missing, damaged or does not fit the
 * others, and when `onnxruntime-node` is not installed.
 */
export declare function openClassifier(options?: OpenOptions): Promise<Classifier>;

/**
 * Reads a picture file as Python does: PNG, GIF, BMP, PPM, PGM, PBM, and with the package `sharp`
 * beside it JPEG and WebP.
 */
export declare function readPicture(path: string): Promise<Picture>;

/** Returns the picture in the bytes of such a file. */
export declare function decodePicture(bytes: Uint8Array, name?: string): Promise<Picture>;

/** Returns the picture in the bytes of a binary PPM, PGM or PBM file. */
export declare function readNetpbm(bytes: Uint8Array, name?: string): Picture;
