import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { constants, gzipSync } from 'node:zlib';
import { BitWriter, fixed, flushed, member } from '../../../test/proto/delta/blobs.ts';
import type { Pick } from './layer-pair.ts';

/** Makes a gzip stream; a choice of its options for each seed. */
export type Encoder = { name: string; encode: (content: Buffer, pick: Pick) => Buffer };

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** Bytes of content, above which slow encoders are not used. */
const MAX_SLOW_BYTES = 60_000;
/** Where Debian has the sources of Go packages (golang-github-klauspost-pgzip-dev). */
const GO_PATH = '/usr/share/gocode';

const { Z_FULL_FLUSH, Z_PARTIAL_FLUSH, Z_SYNC_FLUSH } = constants;

const zlibOptions = (pick: Pick) => ({
  level: pick(10),
  strategy: pick(5),
  memLevel: 1 + pick(9),
  windowBits: 9 + pick(7),
});

const own: Encoder[] = [
  { name: 'none', encode: (content) => content },
  { name: 'node zlib', encode: (content, pick) => gzipSync(content, { level: pick(10) }) },
  { name: 'node zlib, strategies', encode: (content, pick) => gzipSync(content, zlibOptions(pick)) },
  {
    name: 'node zlib, flush points',
    encode: (content, pick) => {
      const size = 1 + pick(40_000);
      const count = Math.max(1, Math.ceil(content.length / size));
      const parts = Array.from({ length: count }, (_, at) => content.subarray(at * size, (at + 1) * size));
      const flush = [Z_FULL_FLUSH, Z_SYNC_FLUSH, Z_PARTIAL_FLUSH][pick(3)] as number;
      return flushed(parts, flush, { level: pick(10) });
    },
  },
  { name: 'by hand', encode: (content, pick) => byHand(content, pick) },
];

/** Stored and fixed blocks with odd paddings, and lengths of 258 in both forms. */
function byHand(content: Buffer, pick: Pick): Buffer {
  const bits = new BitWriter();
  const end = Math.min(content.length, MAX_SLOW_BYTES);
  for (let at = 0; at < end; ) {
    const length = Math.min(end - at, 1 + pick(9_000));
    if (pick(3) === 0) {
      bits.put(0, 3).pad(pick(2) as 0 | 1);
      bits.put(length, 16).put(length ^ 0xffff, 16);
      for (const byte of content.subarray(at, at + length)) bits.put(byte, 8);
    } else {
      fixed(fixedSymbols(bits.put(2, 3), content, at, length, pick), 256);
    }
    at += length;
  }
  fixed(bits.put(3, 3), 256).pad(pick(2) as 0 | 1);
  return member(bits.bytes, content.subarray(0, end));
}

/** Literals, and runs of a byte as matches of distance 1. */
function fixedSymbols(bits: BitWriter, content: Buffer, from: number, length: number, pick: Pick): BitWriter {
  for (let at = from; at < from + length; ) {
    let run = 0;
    while (at > 0 && run < 258 && at + run < from + length && content[at + run] === content[at - 1]) run += 1;
    if (run === 258) {
      if (pick(2) === 0) fixed(bits, 284).put(31, 5);
      else fixed(bits, 285);
      bits.code(0, 5);
      at += 258;
    } else {
      fixed(bits, content[at] as number);
      at += 1;
    }
  }
  return bits;
}

const ofCommand = (
  name: string,
  command: string,
  argumentsOf: (pick: Pick) => string[],
  maxBytes = Number.POSITIVE_INFINITY,
): Encoder => ({
  name,
  encode: (content, pick) => run(command, argumentsOf(pick), content.subarray(0, maxBytes)),
});

function run(command: string, commandArguments: string[], input: Buffer): Buffer {
  const { status, stdout, stderr, error } = spawnSync(command, commandArguments, {
    input,
    maxBuffer: MAX_OUTPUT_BYTES,
  });
  if (status !== 0) throw new Error(`${command} failed: ${error ?? stderr}`);
  return stdout;
}

const isThere = (command: string, argument = '--version'): boolean =>
  spawnSync(command, [argument]).status === 0;

const level = (pick: Pick) => `-${1 + pick(9)}`;

/**
 * All encoders that run here.
 * @param folder for programs that are built, or were
 * @param onMissing for each that does not run
 */
export function encodersIn(folder: string, onMissing: (name: string) => void): Encoder[] {
  const found = [...own];
  const add = (has: boolean, encoder: Encoder) => {
    if (has) found.push(encoder);
    else onMissing(encoder.name);
  };
  const source = (name: string) => join(import.meta.dirname, name);
  const build = (name: string): string | undefined => {
    const program = join(folder, name);
    if (existsSync(program)) return program;
    const env = {
      ...process.env,
      GO111MODULE: 'off',
      GOPATH: GO_PATH,
      GOFLAGS: '',
      GOCACHE: join(folder, 'cache'),
    };
    const built = spawnSync('go', ['build', '-o', program, source(`${name}.go`)], { env });
    return built.status === 0 && existsSync(program) ? program : undefined;
  };
  add(
    isThere('gzip'),
    ofCommand('GNU gzip', 'gzip', (pick) => ['-nc', level(pick)]),
  );
  const rsyncable = spawnSync('gzip', ['--rsyncable', '-c'], { input: '' }).status === 0;
  add(
    rsyncable,
    ofCommand('GNU gzip, rsyncable', 'gzip', (pick) => ['-nc', '--rsyncable', level(pick)]),
  );
  const hasPigz = isThere('pigz');
  add(
    hasPigz,
    ofCommand('pigz', 'pigz', (pick) => ['-nc', '-b', '128', '-p', '2', `-${pick(10)}`]),
  );
  add(
    hasPigz,
    ofCommand('pigz, small blocks', 'pigz', (pick) => ['-nc', '-i', '-b', '32', '-R', level(pick)]),
  );
  add(
    hasPigz,
    ofCommand('zopfli of pigz', 'pigz', () => ['-nc', '-11', '-I', '2'], MAX_SLOW_BYTES),
  );
  const [goGzip, pgzip] = [build('gzip'), build('pgzip')];
  add(
    goGzip !== undefined,
    ofCommand('Go compress/gzip', goGzip ?? '', (pick) => [`${pick(12) - 2}`]),
  );
  add(
    pgzip !== undefined,
    ofCommand('pgzip', pgzip ?? '', (pick) => [`${pick(12) - 2}`]),
  );
  const flush = (pick: Pick) => `${[Z_FULL_FLUSH, Z_SYNC_FLUSH, Z_PARTIAL_FLUSH][pick(3)]}`;
  const python = (pick: Pick) => [
    source('flushed-gzip.py'),
    `${pick(10)}`,
    `${pick(5)}`,
    `${50 + pick(30_000)}`,
    flush(pick),
  ];
  add(isThere('python3'), ofCommand('Python zlib, flush points', 'python3', python));
  return found;
}
