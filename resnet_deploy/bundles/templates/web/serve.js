// SPDX-License-Identifier: Apache-2.0
// A small server of this folder for this machine alone: node serve.js --help

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const USAGE = `usage: node serve.js [PORT]

Shows the page on 127.0.0.1, to this machine alone, until Ctrl+C.

  PORT    a number up to 65535 (default: 8080); 0 takes a free one
  --help  this text`;

const ROOT = fileURLToPath(new URL('.', import.meta.url));

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
};

const HEADERS = {
  // Together these allow threads.
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Content-Security-Policy': {{ (policy ~ "; frame-ancestors 'none'") | js }},
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-cache',
};

/** Returns the file that a URL names, with its size; null where there is none to show. */
async function found(url) {
  try {
    const path = normalize(decodeURIComponent(new URL(url, 'http://localhost').pathname));
    const parts = path.split(sep);
    if (parts.some((part) => part.startsWith('.') || part === 'node_modules')) return null;
    const file = join(ROOT, path.endsWith(sep) ? join(path, 'index.html') : path);
    const { size, isFile } = await stat(file).then((s) => ({ size: s.size, isFile: s.isFile() }));
    return isFile ? { file, size } : null;
  } catch {
    return null;
  }
}

const server = createServer(async (request, response) => {
  const asked = ['GET', 'HEAD'].includes(request.method) ? await found(request.url) : null;
  if (asked === null) {
    response.writeHead(404, { ...HEADERS, 'Content-Type': 'text/plain' }).end('not found\n');
    return;
  }
  response.writeHead(200, {
    ...HEADERS,
    'Content-Type': TYPES[extname(asked.file)] ?? 'application/octet-stream',
    'Content-Length': asked.size,
  });
  if (request.method === 'HEAD') response.end();
  else createReadStream(asked.file).on('error', () => response.destroy()).pipe(response);
});

const [word = '8080', ...more] = process.argv.slice(2);
if (word === '--help' || word === '-h') {
  console.log(USAGE);
  process.exit(0);
}
const port = /^\d{1,5}$/.test(word) ? Number(word) : NaN;
if (more.length > 0 || !(port < 65536)) {
  const what = more.length > 0 ? `${more[0]} is too much` : `${word} is not a port`;
  console.error(`${what}; ${USAGE.split('\n')[0]}`);
  process.exit(2);
}
server.on('error', (error) => {
  const reason = error.code === 'EADDRINUSE' ? `port ${port} is taken` : error.message;
  console.error(`${reason}: name another one, as in: npm start 8081`);
  process.exitCode = 1;
});
server.listen({ port, host: '127.0.0.1' }, () => {
  const address = `http://127.0.0.1:${server.address().port}/`;
  console.log(`the page is at ${address}, its self-test at ${address}selftest.html`);
});
