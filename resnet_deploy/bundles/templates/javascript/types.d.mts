// SPDX-License-Identifier: Apache-2.0
// The types that the modules in this folder share.

/** A picture: RGB, 8 bits each, row by row from the top left. */
export interface Picture {
  /** `width * height * 3` values. */
  readonly data: Uint8Array | Uint8ClampedArray;
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
}

/** What one picture becomes for the network, without the batch. */
export interface Input {
  readonly data: Float32Array | Uint8Array;
  readonly shape: readonly number[];
}

/** An array that the network gives for one picture. */
export interface Output {
  readonly name: string;
  /** Without the batch; of a classifier `[classes]`. */
  readonly shape: readonly number[];
  /** In C order: the last dimension is the one whose values are side by side. */
  readonly data: Float32Array;
}

/** What the network says to one picture. */
export interface Answer {
  /** All its float32 arrays, in the order of `contract.outputs`. */
  readonly outputs: readonly Output[];
  /**
   * One value per class; of a network that names its best K classes, one for each of these; of one
   * that gives features or an embedding none.
   */
  readonly scores: Float32Array;
  /** The classes that `scores` belong to; null where it has one value per class, in order. */
  readonly classes: Int32Array | null;
}

/** One of the likeliest classes. */
export interface Prediction {
  /** Of the class, from 0. */
  readonly index: number;
  readonly label: string;
  /** What the network gives: a logit, or a probability where it ends in a softmax. */
  readonly score: number;
  /** Between 0 and 1. */
  readonly probability: number;
}

/** How a picture becomes the input. */
export interface Preprocess {
  /** Of the centre that is kept, in pixels. */
  readonly height: number;
  readonly width: number;
  /** Height and width of the area that a picture is resized to before. */
  readonly resize: readonly number[];
  /** It keeps its proportions and covers the area, is squashed into it, or fits in on black. */
  readonly resizeMode: 'crop' | 'squash' | 'pad';
  readonly interpolation: 'nearest' | 'box' | 'bilinear' | 'bicubic' | 'lanczos';
  /** Of the input; grey is one channel. */
  readonly channelOrder: 'RGB' | 'BGR' | 'grey';
  /** What black and white become before the mean is subtracted. */
  readonly range: readonly number[];
  /** Per channel of the input, of values in `range`. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly format: 'float-nchw' | 'float-nhwc' | 'uint8-nhwc' | 'uint8-nchw' | 'uint8-s2d';
  /** The network takes the picture as it is, of any size. */
  readonly resizeInGraph: boolean;
  /** What of all this nothing told. */
  readonly assumed: readonly string[];
}

/** One model file. */
export interface Network {
  readonly file: string;
  readonly precision: string;
  /** Hexadecimal, of the file. */
  readonly sha256: string;
  /** Size of the file. */
  readonly bytes: number;
  /** Bound on max |score - recorded| / max |recorded| of one golden case. */
  readonly tolerance: number;
}

/** What goes into the networks of this bundle, and what comes out. */
export interface Contract {
  readonly name: string;
  /** The model, and behind it the alternative where there is one. */
  readonly networks: readonly Network[];
  /** Null where there are no classes. */
  readonly labelsFile: string | null;
  readonly inputDtype: 'float32' | 'uint8';
  /** Of one picture; empty where the network takes any size. */
  readonly inputShape: readonly number[];
  /** How many pictures at a time; null: any number. */
  readonly batch: number | null;
  readonly preprocess: Preprocess;
  readonly outputKind: 'logits' | 'softmax' | 'top-k' | 'embedding' | 'features';
  /** The float32 arrays for one picture; of `every` how many of their values one is recorded. */
  readonly outputs: ReadonlyArray<{
    readonly name: string;
    readonly shape: readonly number[];
    readonly every: number;
  }>;
  /** 0 where it gives features or an embedding. */
  readonly numClasses: number;
  /** How many classes the network names; 0 where it has a value for each. */
  readonly k: number;
  /** The oldest ONNX Runtime that loads the files. */
  readonly minOnnxRuntime: string;
  /** How many CPUs a call uses, as it was found where the network was tuned; 0: not known. */
  readonly threads: number;
  /** Further session options of ONNX Runtime, by its names, that were found there. */
  readonly sessionConfig: Readonly<Record<string, string>>;
}

/** One picture in `manifest.json`, with what was recorded for it. */
export interface GoldenCase {
  readonly name: string;
  readonly picture: string;
  readonly width: number;
  readonly height: number;
  readonly input: string;
  readonly input_shape: readonly number[];
  readonly answers: ReadonlyArray<{
    /** File of the network. */
    readonly network: string;
    /** What answered: ONNX Runtime here. */
    readonly runtime: 'ort';
    /** File of the scores, or of what is recorded of each array, one after the other. */
    readonly scores: string;
    /** Null where there are no classes. */
    readonly top1: number | null;
    readonly label: string | null;
    /** No difference within the tolerance can change the best class. */
    readonly top1_is_decided: boolean;
  }>;
}

/** What the self-test needs of `manifest.json`. */
export interface Manifest {
  readonly golden: readonly GoldenCase[];
}

/** What came of one golden case. */
export interface CaseResult {
  readonly name: string;
  /** File of the network. */
  readonly network: string;
  readonly ok: boolean;
  /** The largest difference of an input value; infinite where there was none to compare. */
  readonly inputDifference: number;
  /** max |score - recorded| / max |recorded|; infinite where there was none to compare. */
  readonly scoreDifference: number;
  /** Its best class was compared: no difference within the tolerance could change it. */
  readonly decided: boolean;
  /** What differs, by how much and where; empty where nothing does. */
  readonly message: string;
}

/** What came of all golden cases. */
export interface Verdict {
  readonly passed: boolean;
  readonly cases: number;
  readonly inputDifference: number;
  readonly scoreDifference: number;
  /** One line: `PASS ...`, or `FAIL` with the first case that differs. */
  readonly message: string;
  /** What may be behind a failure; empty where nothing is known. */
  readonly hint: string;
}
