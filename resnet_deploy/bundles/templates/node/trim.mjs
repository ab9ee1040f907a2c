// SPDX-License-Identifier: Apache-2.0
// Removes what one platform does not need of node_modules: node trim.mjs --help

import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { commandLine, misused } from './command.mjs';

const USAGE = `usage: node trim.mjs [--platform PLATFORM] [--arch ARCH]

Removes the libraries of other platforms from node_modules/onnxruntime-node, and says how large
node_modules is before and after. "npm ci" brings them back.

  --platform  linux, darwin or win32 (default: ${process.platform}, this one)
  --arch      x64 or arm64 (default: ${process.arch}, this one)
  --help      this text`;

const { values, positionals } = commandLine(USAGE, ['platform', 'arch']);
const { platform = process.platform, arch = process.arch } = values;
if (positionals.length > 0) misused(USAGE, `${positionals[0]} is too much`);

const modules = fileURLToPath(new URL('node_modules', import.meta.url));
const libraries = join(modules, 'onnxruntime-node', 'bin');

/**
 * Returns the folders of libraries: .../<platform>/<architecture>.
 *
 * @returns {Promise<string[][]>}
 */
async function builds() {
  const found = [];
  for (const napi of await folders(libraries)) {
    for (const system of await folders(join(libraries, napi))) {
      for (const cpu of await folders(join(libraries, napi, system))) {
        found.push([napi, system, cpu]);
      }
    }
  }
  return found;
}

/** @param {string} folder */
async function folders(folder) {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

/**
 * @param {string} path
 * @returns {Promise<number>} Bytes.
 */
async function size(path) {
  const entries = await readdir(path, { withFileTypes: true });
  const sizes = entries.map((entry) => {
    const inside = join(path, entry.name);
    return entry.isDirectory() ? size(inside) : stat(inside).then((file) => file.size);
  });
  return (await Promise.all(sizes)).reduce((a, b) => a + b, 0);
}

/** @param {number} bytes */
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;

const all = await builds().catch(() =>
  misused(USAGE, `${libraries} does not exist: run "npm ci" first`),
);
const wanted = all.filter(([, system, cpu]) => system === platform && cpu === arch);
if (wanted.length === 0) {
  const known = all.map(([, system, cpu]) => `${system}-${cpu}`).join(', ');
  const what = `nothing is there for ${platform}-${arch}, only for ${known}`;
  misused(USAGE, `${what} ("npm ci" brings all back)`);
}
const before = await size(modules);
for (const build of all.filter((build) => !wanted.includes(build))) {
  await rm(join(libraries, ...build), { recursive: true });
}
const after = await size(modules);
const sizes = `${megabytes(before)} before, ${megabytes(after)} now`;
console.log(`node_modules: ${sizes}, for ${platform}-${arch} alone`);
