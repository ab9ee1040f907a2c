// SPDX-License-Identifier: Apache-2.0
// Copies what the page needs of ONNX Runtime Web into vendor/; node_modules may go after that.

import { copyFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// The build for CPUs alone: those for graphics cards, too, are up to twice as large.
const FILES = ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'];

const source = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm'));
const target = fileURLToPath(new URL('vendor', import.meta.url));
mkdirSync(target, { recursive: true });
for (const file of FILES) {
  // Not every web server knows that .mjs is JavaScript, and browsers run nothing else.
  copyFileSync(join(source, file), join(target, file.replace(/\.mjs$/, '.js')));
}
