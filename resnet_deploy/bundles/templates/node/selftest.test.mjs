// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { commandLine, misused } from './command.mjs';
import { openClassifier } from './index.mjs';
import { oneLine } from './lib/errors.mjs';
import { goldenResults, verdict } from './lib/selftest.mjs';

const USAGE = `usage: node selftest.test.mjs

Runs the golden cases of this bundle: says PASS and ends with 0, or says FAIL, names the first case
that differs, and ends with 1.

  --help  this text`;

const { positionals } = commandLine(USAGE, []);
if (positionals.length > 0) misused(USAGE, `${positionals[0]} is too much`);

/** @param {string} file */
const read = (file) => readFile(new URL(file, import.meta.url));

test('the golden cases', async (t) => {
  const { passed, message, hint } = await tested(t).catch((error) => ({
    passed: false,
    message: `FAIL ${oneLine(error)}`,
    hint: '',
  }));
  for (const line of [message, hint]) if (line) t.diagnostic(line);
  assert.ok(passed, message);
});

/** @param {import('node:test').TestContext} t */
async function tested(t) {
  const manifest = JSON.parse(await readFile(new URL('manifest.json', import.meta.url), 'utf8'));
  const classifier = await openClassifier();
  const results = [];
  for await (const result of goldenResults(classifier, manifest, read)) {
    results.push(result);
    await t.test(result.name, () => assert.ok(result.ok, result.message));
  }
  await classifier.close();
  return verdict(results, classifier);
}
