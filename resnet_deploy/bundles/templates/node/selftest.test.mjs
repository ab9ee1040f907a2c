// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { openClassifier } from './index.mjs';
import { goldenResults, verdict } from './lib/selftest.mjs';

/** @param {string} file */
const read = (file) => readFile(new URL(file, import.meta.url));

test('the golden cases', async (t) => {
  const manifest = JSON.parse(await readFile(new URL('manifest.json', import.meta.url), 'utf8'));
  const classifier = await openClassifier();
  const results = [];
  for await (const result of goldenResults(classifier, manifest, read)) {
    results.push(result);
    await t.test(result.name, () => assert.ok(result.ok, result.message));
  }
  const { passed, message, hint } = verdict(results, classifier);
  for (const line of [message, hint]) if (line) t.diagnostic(line);
  assert.ok(passed, message);
  await classifier.close();
});
