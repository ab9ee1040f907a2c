// SPDX-License-Identifier: Apache-2.0
// Worker threads that classify: each runs one picture at a time, the others wait in a queue.

import { Worker } from 'node:worker_threads';

/** @typedef {import('../index.mjs').Prediction} Prediction */
/** @typedef {({ classes: Prediction[] }) | ({ error: string })} Answer */

/**
 * @typedef {object} Job
 * @property {Uint8Array} bytes
 * @property {number} top
 * @property {(answer: Answer) => void} resolve
 * @property {(error: Error) => void} reject
 */

export class Pool {
  #threads;
  /** @type {Set<Worker>} */
  #workers = new Set();
  /** @type {Worker[]} */
  #idle = [];
  /** @type {Map<Worker, Job>} */
  #running = new Map();
  /** @type {Job[]} */
  #waiting = [];
  #closed = false;

  /** @param {number | undefined} threads Of each worker. */
  constructor(threads) {
    this.#threads = threads;
  }

  /**
   * @param {number} workers
   * @param {number | undefined} threads Of each of them.
   * @returns {Promise<Pool>}
   * @throws {Error} The classifier can't be opened.
   */
  static async open(workers, threads) {
    // A worker has a copy of the environment, and ONNX Runtime looks at that of the program.
    process.env.ORT_DISABLE_TELEMETRY ??= '1';
    const pool = new Pool(threads);
    try {
      await Promise.all(Array.from({ length: workers }, () => pool.#start()));
    } catch (error) {
      await pool.close();
      throw error;
    }
    return pool;
  }

  /**
   * @param {Uint8Array} bytes Of a picture's file; they are gone afterwards.
   * @param {number} top How many classes to name.
   * @returns {Promise<Answer>} The classes, or what is wrong with the picture.
   * @throws {Error} The worker ended.
   */
  classify(bytes, top) {
    return new Promise((resolve, reject) => {
      if (this.#workers.size === 0) return reject(new Error('no worker is left'));
      this.#waiting.push({ bytes, top, resolve, reject });
      return this.#next();
    });
  }

  /** Ends the workers; what still runs or waits is refused. */
  async close() {
    this.#closed = true;
    this.#refuse('the server stops');
    await Promise.all([...this.#workers].map((worker) => worker.terminate()));
  }

  /** @param {string} reason Told to all that wait. */
  #refuse(reason) {
    for (const { reject } of this.#waiting.splice(0)) reject(new Error(reason));
  }

  /** Gives waiting pictures to idle workers. */
  #next() {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = /** @type {Worker} */ (this.#idle.pop());
      const job = /** @type {Job} */ (this.#waiting.shift());
      this.#running.set(worker, job);
      // Handed over, not copied.
      const { buffer } = job.bytes;
      worker.postMessage({ bytes: job.bytes, top: job.top }, [/** @type {ArrayBuffer} */ (buffer)]);
    }
  }

  /**
   * Starts a worker, and another one when it ends.
   *
   * @returns {Promise<void>}
   */
  #start() {
    const worker = new Worker(new URL('worker.mjs', import.meta.url), {
      workerData: { threads: this.#threads },
    });
    this.#workers.add(worker);
    return new Promise((resolve, reject) => {
      let ready = false;
      worker.on('error', (error) => {
        console.error(`a worker ended: ${error.message}`);
      });
      worker.on('exit', () => {
        this.#workers.delete(worker);
        this.#idle = this.#idle.filter((other) => other !== worker);
        this.#running.get(worker)?.reject(new Error('the worker ended'));
        this.#running.delete(worker);
        reject(new Error('a worker ended before it was ready'));
        // One that never was ready would end again and again.
        if (ready && !this.#closed) {
          this.#start().catch((error) => {
            console.error(error.message);
            if (this.#workers.size === 0) this.#refuse('no worker is left');
          });
        }
      });
      worker.on('message', (message) => {
        if ('broken' in message) return reject(new Error(message.broken));
        if ('ready' in message) {
          ready = true;
          resolve();
        } else {
          this.#running.get(worker)?.resolve(message);
          this.#running.delete(worker);
        }
        this.#idle.push(worker);
        this.#next();
      });
    });
  }
}
