// SPDX-License-Identifier: Apache-2.0
// The likeliest classes of each picture: node classify.mjs --help

import { commandLine, misused, wholeNumber } from './command.mjs';
import { ClassifierError, MOST_THREADS, contract, openClassifier, readPicture } from './index.mjs';
import { printable } from './lib/errors.mjs';

const USAGE = `usage: node classify.mjs [--top K] [--threads N] PICTURE ...

Prints the likeliest classes of each picture. Reads PNG, GIF, BMP, PPM, PGM and PBM files, and
JPEG and WebP where sharp is installed: npm install sharp

  --top K      how many classes (default: 5)
  --threads N  how many CPUs a call may use (default: as tune found, else ONNX Runtime decides)
  --help       this text

It ends with 0, or with 2 where a picture could not be classified.`;

const { values, positionals: files } = commandLine(USAGE, ['top', 'threads']);
if (files.length === 0) misused(USAGE, 'no picture is named');
const top = wholeNumber(USAGE, 'top', values.top, 1, contract.numClasses) ?? 5;
const threads = wholeNumber(USAGE, 'threads', values.threads, 1, MOST_THREADS);

try {
  const classifier = await openClassifier({ threads });
  for (const file of files) await classify(classifier, file).catch(failed);
} catch (error) {
  failed(error);
}

/**
 * @param {import('./index.mjs').Classifier} classifier
 * @param {string} file
 */
async function classify(classifier, file) {
  const lines = (await classifier.classify(await readPicture(file), top)).map(
    ({ label, probability }) =>
      `  ${(100 * probability).toFixed(1).padStart(5)} %  ${printable(label)}`,
  );
  console.log([printable(file), ...lines].join('\n'));
}

/** @param {unknown} error */
function failed(error) {
  if (!(error instanceof ClassifierError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
