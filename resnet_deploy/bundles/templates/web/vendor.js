// SPDX-License-Identifier: Apache-2.0
// Copies what the page needs of ONNX Runtime Web into vendor/: node vendor.js --help

import { copyFileSync, mkdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// The build for CPUs alone: those for graphics cards, too, are up to twice as large.
const FILES = ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'];

const USAGE = `usage: node vendor.js

Copies what the page needs of ONNX Runtime Web from node_modules into vendor/, as "npm ci" does.
node_modules may go after that.

  --help  this text`;

/**
 * @param {string} text
 * @param {number} code
 */
function end(text, code) {
  if (code === 0) console.log(text);
  else console.error(text);
  process.exit(code);
}

/** Returns the folder of the files. */
function found() {
  try {
    return dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'));
  } catch {
    return end('onnxruntime-web is not installed: run "npm ci" in this folder', 2);
  }
}

const [word] = process.argv.slice(2);
if (word === '--help' || word === '-h') end(USAGE, 0);
if (word !== undefined) end(`${word} is too much; ${USAGE.split('\n')[0]}`, 2);

const source = found();
const target = fileURLToPath(new URL('vendor', import.meta.url));
mkdirSync(target, { recursive: true });
let size = 0;
for (const file of FILES) {
  // Not every web server knows that .mjs is JavaScript, and browsers run nothing else.
  const copy = join(target, file.replace(/\.mjs$/, '.js'));
  copyFileSync(join(source, file), copy);
  size += statSync(copy).size;
}
console.log(`vendor/: ${(size / 1e6).toFixed(1)} MB`);
