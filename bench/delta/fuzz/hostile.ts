import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { DeltaLimitExceeded } from '#proto/delta/bounded-work.ts';
import { bytesOf } from '#proto/delta/bytes/bytes.ts';
import { applyDelta, encodeDelta } from '#proto/delta/delta.ts';
import { DeltaInvalid } from '#proto/delta/format/invalid.ts';
import { ScratchFile } from '../../../services/syncer/delta/worker/scratch-file.ts';
import { noise, numbers, text } from '../../../test/proto/delta/blobs.ts';
import { deltaFile, raw, rawPiece, type Section, varint } from '../../../test/proto/delta/delta-file.ts';
import { blobOf, sha256 } from '../../../test/proto/delta/in-memory.ts';

/*
 * What hostile deltas cost a receiver, and hostile blobs a sender: `node bench/delta/fuzz/hostile.ts`. Each runs in a
 * process of its own, within the bounds below. A delta must be refused; the table has the time, and the highest memory
 * above that of a process which has only made the delta or the blobs.
 */

const MIB = 2 ** 20;
const BOUNDS = {
  maxContentBytes: 2 ** 32,
  maxContentRatio: 300,
  maxScratchBytes: 2 ** 30,
  maxTimeMs: 20_000,
};
/** Size that the target is expected to have. */
const TARGET_BYTES = 2 ** 30;

/** Files without a name, as a service has them. */
let scratchFiles = 0;
const scratch = () => {
  scratchFiles += 1;
  return new ScratchFile(join(tmpdir(), `terrace-delta-${process.pid}-${scratchFiles}`));
};

const target = { length: TARGET_BYTES, sha256: sha256(Buffer.from('expected')) };
const base = noise(MIB);
/** Takes all, and keeps nothing. */
const nowhere = { append: () => {} };

const zeros = zstdCompressSync(Buffer.alloc(4 * MIB));
const zeroPiece = Buffer.concat([varint(4 * MIB, 0, 4 * zeros.length), zeros]);
const repeated = (bytes: Uint8Array, count: number): Section => ({
  length: 0,
  bytes: Buffer.alloc(bytes.length * count, bytes),
});
const declared = (length: number, section: Section): Section => ({ ...section, length });
const zerosOf = (length: number) => declared(length, repeated(zeroPiece, Math.ceil(length / (4 * MIB))));
/** A stream of one number, again and again, in pieces of 1 MiB. */
function numbersOf(bytes: Uint8Array, count: number): Section {
  const all = Buffer.alloc(bytes.length * count, bytes);
  const pieces: Buffer[] = [];
  for (let at = 0; at < all.length; at += MIB) {
    const piece = all.subarray(at, at + MIB);
    const frame = zstdCompressSync(piece);
    pieces.push(varint(piece.length, 0, 4 * frame.length), frame);
  }
  return { length: all.length, bytes: Buffer.concat(pieces) };
}

/** A stream in pieces of 1 MiB, as they are. */
function piecesOf(all: Buffer): Section {
  const pieces: Buffer[] = [];
  for (let at = 0; at < all.length; at += MIB) pieces.push(rawPiece(all.subarray(at, at + MIB)));
  return { length: all.length, bytes: Buffer.concat(pieces) };
}

function references(length: number): Section {
  const many = Array.from({ length: 4_096 }, (_, index) => [index, 4_096]).flat();
  const frame = zstdCompressSync(Buffer.alloc(MIB));
  return declared(
    length,
    repeated(Buffer.concat([varint(MIB, 4_096, ...many, 4 * frame.length), frame]), 60),
  );
}

const receivers: Record<string, () => { delta: Buffer; base?: Buffer }> = {
  'more content than declared': () => ({
    delta: fileOf({ literals: declared(2 ** 50, repeated(zeroPiece, 500)) }),
  }),
  'content of 1 TiB in a target of 1 GiB': () => ({
    delta: fileOf({
      literals: declared(2 ** 40, repeated(zeroPiece, 2 ** 18)),
      segments: raw(varint(2 ** 41 + 1)),
      // A literal and distance 1, again and again: a block of fixed codes that ends with its stream.
      blocks: raw(Buffer.concat([Buffer.of(5), varint(2 ** 40 / 258)])),
      hits: numbersOf(Buffer.of(1), 20 * MIB),
      misses: numbersOf(Buffer.of(2), 20 * MIB),
      near: numbersOf(Buffer.of(0), 20 * MIB),
      far: numbersOf(Buffer.of(0), 20 * MIB),
    }),
  }),
  'a million pieces of a byte': () => ({
    delta: fileOf({ literals: declared(2 ** 32, repeated(rawPiece(Buffer.of(7)), 1_000_000)) }),
  }),
  'a million segments': () => ({
    delta: fileOf({ segments: numbersOf(varint(2), 1_000_000), literals: zerosOf(4 * MIB) }),
  }),
  '40 million streams without content': () => ({
    delta: fileOf({
      segments: numbersOf(Buffer.of(1), 40_000_000),
      blocks: numbersOf(Buffer.of(5, 0), 40_000_000),
    }),
  }),
  'a million regions, each elsewhere': () => {
    const next = numbers(5);
    let last = 0;
    const regions = Array.from({ length: 1_000_000 }, () => {
      const from = next(MIB - 16);
      const distance = from - last;
      last = from + 16;
      return varint(0, 16, distance < 0 ? -2 * distance - 1 : 2 * distance);
    });
    return { delta: fileOf({ alignment: piecesOf(Buffer.concat(regions)) }) };
  },
  'a difference in each byte': () => {
    const of = Buffer.alloc(64 * MIB);
    const parts = {
      alignment: raw(varint(0, of.length, 0)),
      equals: numbersOf(Buffer.of(0), of.length / 4),
      recents: numbersOf(Buffer.of(255), of.length / 4),
      differences: numbersOf(varint(2 ** 31, 7, 2 ** 30, 9), of.length / 16),
    };
    return { base: of, delta: fileOf(parts, of) };
  },
  'tokens that are sought far away, again and again': () => {
    const next = numbers(7);
    const of = gzipSync(text(4 * MIB));
    let last = 0;
    const regions = Array.from({ length: 200_000 }, () => {
      const from = next(4 * MIB - 16);
      const distance = from - last;
      last = from + 16;
      return varint(0, 16, distance < 0 ? -2 * distance - 1 : 2 * distance);
    });
    const length = 200_000 * 16;
    return {
      base: of,
      delta: fileOf(
        {
          alignment: piecesOf(Buffer.concat(regions)),
          segments: raw(varint(2 * length + 1)),
          blocks: raw(Buffer.concat([Buffer.of(5), varint(length)])),
          hits: raw(varint(length)),
        },
        of,
        true,
      ),
    };
  },
  'references of 16 MiB in each stream': () => ({
    delta: fileOf({ literals: references(TARGET_BYTES) }),
  }),
  'a million embedded streams': () => {
    const stream = deflateRawSync(Buffer.alloc(0));
    const of = Buffer.alloc(1_000_000 * stream.length, stream);
    const places = numbersOf(varint(stream.length), 999_999);
    return { base: of, delta: fileOf({ embedded: places, literals: zerosOf(TARGET_BYTES) }, of) };
  },
  'a base of gzip that is a bomb': () => {
    const of = gzipSync(Buffer.alloc(TARGET_BYTES));
    return { base: of, delta: fileOf({ literals: zerosOf(TARGET_BYTES) }, of, true) };
  },
  'an embedded stream that is a bomb': () => {
    const of = Buffer.concat([Buffer.alloc(9), deflateRawSync(Buffer.alloc(TARGET_BYTES))]);
    return { base: of, delta: fileOf({ embedded: raw(varint(9)), literals: zerosOf(TARGET_BYTES) }, of) };
  },
};

function fileOf(parts: Parameters<typeof deltaFile>[2], of: Buffer = base, isGzip = false): Buffer {
  const file = deltaFile(Buffer.alloc(0), [of], parts, isGzip);
  // Length and digest of the target follow the magic, the format and the number of bases.
  const head = Buffer.concat([file.subarray(0, 10), varint(TARGET_BYTES), target.sha256]);
  return Buffer.concat([head, file.subarray(10 + 1 + 32)]);
}

const senders: Record<string, () => [target: Buffer, base: Buffer]> = {
  'a target that is a bomb': () => [gzipSync(Buffer.alloc(TARGET_BYTES)), base],
  'a base that is a bomb, to a sender': () => [base, gzipSync(Buffer.alloc(TARGET_BYTES))],
  'a million headers of zlib': () => [Buffer.alloc(8 * MIB, Buffer.of(0x78, 0x9c, 0x63)), base],
  'streams that fail at their end': () => {
    const stream = deflateRawSync(Buffer.alloc(4 * MIB)).subarray(0, -3);
    const one = Buffer.concat([Buffer.of(0x78, 0x9c), stream]);
    return [
      Buffer.concat(Array.from({ length: 2_000 }, (_, index) => Buffer.concat([varint(index), one]))),
      base,
    ];
  },
};

type Outcome = { seconds: number; mib: number; result: string; isRefused: boolean };

function run(work: () => string): void {
  const before = process.resourceUsage().maxRSS;
  const from = performance.now();
  let result: string;
  let isRefused = false;
  try {
    result = work();
  } catch (error) {
    isRefused = error instanceof DeltaInvalid || error instanceof DeltaLimitExceeded;
    result = error instanceof Error ? `${error.constructor.name}: ${error.message}` : `${error}`;
  }
  const mib = (process.resourceUsage().maxRSS - before) / 1024;
  const seconds = (performance.now() - from) / 1_000;
  console.log(JSON.stringify({ seconds, mib, result, isRefused } satisfies Outcome));
}

/** Bounds of what a hostile delta or blob may cost; the codec ends a little later than at its own bound of time. */
const MAX_SECONDS = BOUNDS.maxTimeMs / 1_000 + 5;
const MAX_MIB = 256;

const [, , name] = process.argv;
if (name === undefined) {
  console.log('     s    MiB');
  let faults = 0;
  for (const one of [...Object.keys(receivers), ...Object.keys(senders)]) {
    const { stdout, stderr } = spawnSync(process.execPath, [process.argv[1] as string, one], {
      encoding: 'utf8',
      timeout: 10 * MAX_SECONDS * 1_000,
      killSignal: 'SIGKILL',
    });
    const fault = print(one, stdout, stderr);
    if (fault) faults += 1;
  }
  console.log(faults === 0 ? 'all within their bounds' : `${faults} not within their bounds`);
  if (faults > 0) process.exitCode = 1;
}

/** @returns whether it was not refused, or took too much */
function print(name: string, stdout: string, stderr: string): boolean {
  const line = stdout.trim().split('\n').at(-1);
  if (!line) {
    console.log(`     -      -  ENDED WITHOUT AN ANSWER: ${stderr.slice(-500)}  <- ${name}`);
    return true;
  }
  const { seconds, mib, result, isRefused } = JSON.parse(line) as Outcome;
  const faults = [
    ...(isRefused || name in senders ? [] : ['NOT REFUSED']),
    ...(seconds <= MAX_SECONDS ? [] : ['TOO LONG']),
    ...(mib <= MAX_MIB ? [] : ['TOO MUCH MEMORY']),
  ];
  const marks = faults.map((fault) => `${fault}: `).join('');
  console.log(
    `${seconds.toFixed(1).padStart(6)}  ${mib.toFixed(0).padStart(5)}  ${marks}${result}  <- ${name}`,
  );
  return faults.length > 0;
}

const receiver = receivers[name ?? ''];
if (receiver) {
  const { delta, base: of = base } = receiver();
  const bases = [blobOf(of)];
  const options = {
    bounds: BOUNDS,
    scratch,
    delta: bytesOf(delta),
    bases,
    target,
    sink: nowhere,
  };
  run(() => {
    applyDelta(options);
    return 'a target';
  });
}
const sender = senders[name ?? ''];
if (sender) {
  const [of, from] = sender();
  run(() => {
    const delta = encodeDelta({ bounds: BOUNDS, scratch, target: blobOf(of), bases: [blobOf(from)] });
    return `a delta of ${delta.size} bytes for ${of.length}`;
  });
}
