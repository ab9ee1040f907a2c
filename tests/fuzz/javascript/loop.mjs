// The JavaScript decoders of a bundle under random changes, one surface a run:
//
//   node loop.mjs '{"lib": …, "surface": "png", "seeds": FOLDER, "found": FOLDER, "inputs": 1000,
//                   "seconds": 60, "seed": 0}'
//
// A finding is an exception that is not a ClassifierError of one line, an input that takes more than
// 30 s, or a process of more than 2 GiB. The last line of output is JSON: how many inputs were
// read, and what was found.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { deflateSync, inflateSync } from 'node:zlib';

const MOST_BYTES = 4096;
const SECONDS = 30;
const MEMORY = 2 * 2 ** 30;

// Of the numbers that both threads see.
const [DONE, LENGTH] = [0, 1];

function keep(folder, data, what) {
  mkdirSync(folder, { recursive: true });
  const name = createHash('sha256').update(data).digest('hex').slice(0, 16);
  writeFileSync(join(folder, name), data);
  console.error(`${what} (${name})`);
}

/** Watches a worker: a thread that hangs can't say so itself. */
function watch(asked) {
  const numbers = new Int32Array(new SharedArrayBuffer(8));
  const bytes = new Uint8Array(new SharedArrayBuffer(MOST_BYTES));
  const worker = new Worker(new URL(import.meta.url), { workerData: { asked, numbers, bytes } });
  let [last, since] = [-1, Date.now()];
  const stop = (what) => {
    keep(asked.found, bytes.slice(0, numbers[LENGTH]), what);
    console.log(JSON.stringify({ inputs: numbers[DONE], found: [what] }));
    process.exit(1);
  };
  const timer = setInterval(() => {
    if (numbers[DONE] !== last) [last, since] = [numbers[DONE], Date.now()];
    if (Date.now() - since > SECONDS * 1000) stop(`an input takes more than ${SECONDS} s`);
    if (process.memoryUsage.rss() > MEMORY) stop('an input takes more than 2 GiB');
  }, 20);
  worker.on('error', (error) => stop(`the thread ends: ${error.message}`));
  worker.on('message', (result) => {
    clearInterval(timer);
    console.log(JSON.stringify(result));
    process.exitCode = result.found.length > 0 ? 1 : 0;
  });
}

/** Numbers in an order that a seed decides: mulberry32. */
function randomFrom(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % Math.max(below, 1);
  };
}

const LIMITS = [0, 1, 127, 128, 255, 256, 32767, 65535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 16384];

function changed(data, seeds, below) {
  // Headers are short and decide most, so half of all places lie in the first 64 bytes.
  const at = below((below(2) === 0 ? Math.min(data.length, 64) : data.length) + 1);
  const part = data.subarray(at, at + 1 + below(64));
  const out = Buffer.from(data);
  switch (below(7)) {
    case 0:
    case 1:
      if (at < out.length) out[at] = below(256);
      return out;
    case 2: {
      const size = [1, 2, 4][below(3)];
      if (at + size > out.length) return out;
      const value = LIMITS[below(LIMITS.length)] % 2 ** (8 * size);
      if (below(2) === 0) out.writeUIntBE(value, at, size);
      else out.writeUIntLE(value, at, size);
      return out;
    }
    case 3:
      return out.subarray(0, at);
    case 4:
      return Buffer.concat([out.subarray(0, at), out.subarray(at + part.length)]);
    case 5:
      return Buffer.concat([out.subarray(0, at), part, out.subarray(at)]);
    default: {
      const other = seeds[below(seeds.length)];
      return Buffer.concat([out.subarray(0, at), other.subarray(below(other.length + 1))]);
    }
  }
}

const TABLE = Uint32Array.from({ length: 256 }, (__, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  return sum;
});

function checksum(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = (sum >>> 8) ^ TABLE[(sum ^ byte) & 0xff];
  return (sum ^ 0xffffffff) >>> 0;
}

/** Random changes alone would be stopped by checksums, and by what is packed. */
function changedPng(data, seeds, below) {
  const parts = [data.subarray(0, 8)];
  const inside = below(3) === 0;
  if (!inside) data = changed(data, seeds, below);
  for (let at = 8; at + 12 <= data.length;) {
    const length = data.readUInt32BE(at);
    if (length > data.length - at - 12) break;
    let content = data.subarray(at + 8, at + 8 + length);
    const name = data.subarray(at + 4, at + 8);
    if (inside && name.toString('latin1') === 'IDAT') {
      try {
        const plain = inflateSync(content, { maxOutputLength: 1 << 16 });
        content = deflateSync(changed(plain, [plain], below), { level: 1 });
      } catch {
        // It was broken by an earlier change.
      }
    }
    const chunk = Buffer.concat([Buffer.alloc(4), name, content, Buffer.alloc(4)]);
    chunk.writeUInt32BE(content.length, 0);
    chunk.writeUInt32BE(checksum(chunk.subarray(4, -4)), chunk.length - 4);
    parts.push(chunk);
    at += 12 + length;
  }
  return Buffer.concat(parts);
}

/** What reads an input of each surface. */
async function readers(lib) {
  const load = (name) => import(pathToFileURL(join(lib, name)).href);
  const { readPictureFile } = await load('picture_file.mjs');
  const { parseLabels } = await load('labels.mjs');
  const { prepare } = await load('preprocess.mjs');
  const { contract } = await load('contract.mjs');
  const { ClassifierError } = await load('errors.mjs');
  // Stands for what a platform decodes; most files say another size.
  const platform = async ({ inks }) => ({
    data: new Uint8Array(37 * 29 * (inks ? 4 : 3)),
    width: 37,
    height: 29,
    channels: inks ? 4 : 3,
  });
  const pictures = async (bytes) => {
    const { data, width, height } = await readPictureFile(bytes, 'the picture', platform);
    if (data.length !== width * height * 3) throw new Error('pixels are missing');
  };
  return {
    pictures,
    labels: (bytes) => parseLabels(new TextDecoder().decode(bytes), contract),
    prepare: (bytes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      if (bytes.length < 8) return;
      const picture = {
        data: bytes.subarray(8),
        width: view.getUint8(0) < 128 ? view.getUint16(1) : view.getFloat32(0),
        height: view.getUint8(4) < 128 ? view.getUint16(5) : view.getInt32(4),
      };
      prepare(picture, contract);
    },
    // What must be found.
    faults: () => {
      throw new TypeError('not the bundle\'s');
    },
    isTheirs: (error) => error instanceof ClassifierError && !error.message.includes('\n'),
  };
}

async function work({ asked, numbers, bytes }) {
  const all = await readers(asked.lib);
  const read = all[asked.surface] ?? all.pictures;
  const seeds = readdirSync(asked.seeds).sort().map((name) => readFileSync(join(asked.seeds, name)));
  const below = randomFrom(asked.seed);
  const kinds = new Set();
  const end = Date.now() + asked.seconds * 1000;
  let done = 0;
  for (; done < asked.inputs && (done % 64 !== 0 || Date.now() < end); done++) {
    let data = seeds[done % seeds.length];
    if (done >= seeds.length) {
      data = seeds[below(seeds.length)];
      for (let count = 1 + below(4); count > 0; count--) {
        const change = asked.surface === 'png' && below(8) > 0 ? changedPng : changed;
        data = change(data, seeds, below);
      }
    }
    data = data.subarray(0, MOST_BYTES);
    bytes.set(data);
    numbers[LENGTH] = data.length;
    try {
      await read(new Uint8Array(data));
    } catch (error) {
      const what = String(error?.stack ?? error).split('\n').slice(0, 2).join(' ');
      const kind = String(error?.stack ?? error).split('\n')[1] ?? what;
      if (!all.isTheirs(error) && !kinds.has(kind)) {
        kinds.add(kind);
        keep(asked.found, data, what);
      }
    }
    Atomics.store(numbers, DONE, done + 1);
  }
  return { inputs: done, found: [...kinds] };
}

if (isMainThread) {
  watch(JSON.parse(process.argv[2]));
} else {
  parentPort.postMessage(await work(workerData));
}
