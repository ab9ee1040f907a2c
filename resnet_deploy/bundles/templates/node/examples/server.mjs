// SPDX-License-Identifier: Apache-2.0
// A small server that classifies in worker threads: node examples/server.mjs --help

import { createServer } from 'node:http';
import { availableParallelism } from 'node:os';

import { commandLine, misused, wholeNumber } from '../command.mjs';
import { MOST_THREADS, contract } from '../index.mjs';
import { Pool } from './pool.mjs';

const CPUS = availableParallelism();

const USAGE = `usage: node examples/server.mjs [--port PORT] [--workers N] [--threads N]

Answers on 127.0.0.1 with the likeliest classes of the picture in the body of a request:

  curl --data-binary @PICTURE.ppm 'http://127.0.0.1:8080/classify?top=3'

  --port PORT   0 takes a free one (default: 8080)
  --workers N   how many pictures are classified at once (default: ${CPUS}, one for each CPU)
  --threads N   how many CPUs each of them may use (default: 1)
  --help        this text

SIGTERM and SIGINT end it once the requests that run are answered. Who is still sending has 3
seconds.`;

/** Bytes of a request's body. */
const MOST_BYTES = 32e6;

/** Requests for each worker, the one it works on among them; more are told to come back. */
const MOST_REQUESTS = 8;

/** Milliseconds that a client has for the rest of its request once the server is told to end. */
const HURRY = 3000;

const { values, positionals } = commandLine(USAGE, ['port', 'workers', 'threads']);
const port = wholeNumber(USAGE, 'port', values.port, 0, 65535) ?? 8080;
const workers = wholeNumber(USAGE, 'workers', values.workers, 1, MOST_THREADS) ?? CPUS;
const threads = wholeNumber(USAGE, 'threads', values.threads, 1, MOST_THREADS) ?? 1;
if (positionals.length > 0) misused(USAGE, `${positionals[0]} is too much`);

const pool = await Pool.open(workers, threads).catch((error) => {
  console.error(error.message);
  process.exit(2);
});

/** An answer that is no classes. */
class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @type {Set<(error: Refusal) => void>} What refuses a body of which not all has come. */
const receiving = new Set();

/**
 * @param {import('node:http').IncomingMessage} request
 * @returns {Promise<Uint8Array>}
 * @throws {Refusal} It has too many bytes.
 */
function body(request) {
  return new Promise((resolve, reject) => {
    receiving.add(reject);
    request.on('close', () => receiving.delete(reject));
    const tooMuch = new Refusal(413, `send at most ${MOST_BYTES} bytes`);
    if (Number(request.headers['content-length']) > MOST_BYTES) reject(tooMuch);
    /** @type {Uint8Array[]} */
    let chunks = [];
    let size = 0;
    // What comes after a refusal is read and forgotten: many clients look for an answer only then.
    request.on('data', (chunk) => {
      size += chunk.length;
      if (size <= MOST_BYTES) return chunks.push(chunk);
      chunks = [];
      return reject(tooMuch);
    });
    request.on('error', reject);
    request.on('end', () => {
      const whole = new Uint8Array(size <= MOST_BYTES ? size : 0);
      let at = 0;
      for (const chunk of chunks) {
        whole.set(chunk, at);
        at += chunk.length;
      }
      resolve(whole);
    });
  });
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @returns {Promise<import('./pool.mjs').Prediction[]>}
 * @throws {Refusal}
 */
async function answered(request) {
  const [path, query] = (request.url ?? '').split('?');
  if (path !== '/classify') throw new Refusal(404, 'post a picture to /classify');
  if (request.method !== 'POST') throw new Refusal(405, 'post a picture to /classify');
  const top = new URLSearchParams(query).get('top') ?? '5';
  if (!/^[1-9]\d{0,5}$/.test(top)) {
    throw new Refusal(400, `top is a number from 1 to ${contract.numClasses}`);
  }
  if (/^multipart\//i.test(request.headers['content-type'] ?? '')) {
    throw new Refusal(415, 'send the bytes of the file alone, no form: curl --data-binary @FILE');
  }
  const answer = await pool.classify(await body(request), Number(top));
  if ('error' in answer) throw new Refusal(400, answer.error);
  return answer.classes;
}

let running = 0;

const server = createServer(async (request, response) => {
  /** @param {number} status @param {object} value */
  const send = (status, value) => {
    response.writeHead(status, {
      'Content-Type': 'application/json',
      ...(server.listening ? {} : { Connection: 'close' }),
      ...(status === 503 ? { 'Retry-After': '1' } : {}),
    });
    response.end(`${JSON.stringify(value)}\n`);
  };
  if (running >= MOST_REQUESTS * workers) return send(503, { error: 'busy: try again' });
  running++;
  try {
    send(200, { classes: await answered(request) });
  } catch (error) {
    if (error instanceof Refusal) send(error.status, { error: error.message });
    else send(500, { error: 'this picture could not be classified: see the log of the server' });
  } finally {
    running--;
  }
});
// Nobody keeps a connection busy with a request that never ends, nor with one that was refused.
server.requestTimeout = 30_000;
server.on('error', (error) => {
  console.error(`${error.message}: name another port with --port`);
  process.exit(1);
});
server.listen({ port, host: '127.0.0.1' }, () => {
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  const each = threads === 1 ? '1 thread' : `${threads} threads`;
  console.log(`http://127.0.0.1:${address.port}/classify, ${workers} workers of ${each}`);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => {
    server.close(async () => {
      await pool.close();
      console.log('all requests are answered: bye');
    });
    server.closeIdleConnections();
    setTimeout(() => {
      for (const refuse of receiving) refuse(new Refusal(408, 'the server ends: send it again'));
      // Nor does who has sent a part of a head, which is not a request yet, hold up the end.
      setInterval(() => running === 0 && server.closeAllConnections(), 50).unref();
    }, HURRY).unref();
  });
}
