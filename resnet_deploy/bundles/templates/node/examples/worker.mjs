// SPDX-License-Identifier: Apache-2.0
// One thread of server.mjs: it has a classifier of its own, and answers one picture at a time.

import { parentPort, workerData } from 'node:worker_threads';

import { ClassifierError, MissingDecoderError, decodePicture, openClassifier } from '../index.mjs';

const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);

/** Whether the operator knows that sharp is missing. */
let told = false;

/**
 * What is wrong, for the one who asked; anything but a `ClassifierError` is a mistake of ours and
 * ends the thread, which the server replaces.
 *
 * @param {unknown} error
 */
function reason(error) {
  if (error instanceof MissingDecoderError) {
    if (!told) console.error(error.message);
    told = true;
    return `this server does not read ${error.format} files: send a PNG`;
  }
  if (error instanceof ClassifierError) return error.message;
  throw error;
}

try {
  const classifier = await openClassifier({ threads: workerData.threads });
  port.on('message', async ({ bytes, top }) => {
    try {
      const picture = await decodePicture(bytes, 'the picture');
      port.postMessage({ classes: await classifier.classify(picture, top) });
    } catch (error) {
      port.postMessage({ error: reason(error) });
    }
  });
  port.postMessage({ ready: true });
} catch (error) {
  port.postMessage({ broken: reason(error) });
}
