// SPDX-License-Identifier: Apache-2.0
// The arrays of each picture: node outputs.mjs --help

import { commandLine, misused, wholeNumber } from './command.mjs';
import { ClassifierError, MOST_THREADS, openClassifier, readPicture } from './index.mjs';
import { printable } from './lib/errors.mjs';
import { norm } from './lib/outputs.mjs';

const USAGE = `usage: node outputs.mjs [--threads N] PICTURE ...

Prints name, shape and Euclidean norm of each array that the network gives for a picture.
Reads PNG, GIF, BMP, PPM, PGM and PBM files, and JPEG and WebP where sharp is installed:
npm install sharp

  --threads N  how many CPUs a call may use (default: as tune found, else ONNX Runtime decides)
  --help       this text

It ends with 0, or with 2 where a picture could not be read.`;

const { values, positionals: files } = commandLine(USAGE, ['threads']);
if (files.length === 0) misused(USAGE, 'no picture is named');
const threads = wholeNumber(USAGE, 'threads', values.threads, 1, MOST_THREADS);

try {
  const classifier = await openClassifier({ threads });
  for (const file of files) await describe(classifier, file).catch(failed);
} catch (error) {
  failed(error);
}

/**
 * @param {import('./index.mjs').Classifier} classifier
 * @param {string} file
 */
async function describe(classifier, file) {
  const lines = (await classifier.outputs(await readPicture(file))).map(
    ({ name, shape, data }) =>
      `  ${printable(name)}: ${shape.join(' x ')}, norm ${norm(data).toPrecision(6)}`,
  );
  console.log([printable(file), ...lines].join('\n'));
}

/** @param {unknown} error */
function failed(error) {
  if (!(error instanceof ClassifierError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
