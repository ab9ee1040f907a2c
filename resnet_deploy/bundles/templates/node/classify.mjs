// SPDX-License-Identifier: Apache-2.0
// node classify.mjs PICTURE.ppm ...: the likeliest classes of each picture.

import { ClassifierError, openClassifier, readPicture } from './index.mjs';

const files = process.argv.slice(2);
try {
  if (files.length === 0) throw new ClassifierError('usage: node classify.mjs PICTURE.ppm ...');
  const classifier = await openClassifier();
  for (const file of files) {
    console.log(file);
    for (const { label, probability } of await classifier.classify(await readPicture(file))) {
      console.log(`  ${(100 * probability).toFixed(1).padStart(5)} %  ${label}`);
    }
  }
} catch (error) {
  if (!(error instanceof ClassifierError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
