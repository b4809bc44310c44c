import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { Parity } from '#proto/archive/list.ts';
import { addProduct, parityRow } from '#proto/archive/reed-solomon.ts';
import { planSlices } from '#proto/archive/slices.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import { COLUMN_BYTES, OpenSlices, rangesOf } from './slice-files.ts';

/** The parts of a set, as they are written, and where its parity files are to be. */
export type ParityJob = {
  parts: { path: string; size: number }[];
  percent: number;
  /** Max size of a file. */
  maxBytes: number;
  /** Path of a parity file that is created. */
  pathOf: (file: number) => string;
  run: ArchiveRun;
};

/** Bytes of all parity files. @throws Fault `too-large` if there are too many parts */
export function parityBytes(sizes: readonly number[], percent: number): number {
  const { sliceBytes, parity } = planSlices(sizes, percent);
  return sliceBytes * parity;
}

/** Computes the parity of all parts; its files are synced. */
export async function writeParity({ parts, percent, maxBytes, pathOf, run }: ParityJob): Promise<Parity> {
  const {
    sliceBytes,
    slices,
    parity: count,
  } = planSlices(
    parts.map(({ size }) => size),
    percent,
  );
  const perFile = Math.max(1, Math.floor(maxBytes / sliceBytes));
  const files = Array.from({ length: Math.ceil(count / perFile) }, (_, file) => ({
    size: sliceBytes * Math.min(perFile, count - file * perFile),
  }));
  const rows = Array.from({ length: count }, (_, index) => parityRow(slices.length, index));
  const ranges = rangesOf(slices, (part) => (parts[part] as { path: string }).path);
  const hashes = [slices, rows].map((list) => list.map(() => createHash('sha256'))) as [Hashes, Hashes];
  run.begin('computing parity', sliceBytes * slices.length);
  await using input = new OpenSlices();
  await using output = await OutputFiles.create(files.map((_, file) => pathOf(file)));
  const source = new Uint8Array(COLUMN_BYTES);
  const sums = rows.map(() => new Uint8Array(COLUMN_BYTES));
  for (let column = 0; column < sliceBytes; column += COLUMN_BYTES) {
    const width = Math.min(COLUMN_BYTES, sliceBytes - column);
    for (const sum of sums) sum.fill(0);
    for (const [index, range] of ranges.entries()) {
      await input.read(range, column, source.subarray(0, width));
      const own = Math.max(0, Math.min(width, range.size - column));
      hashes[0][index]?.update(source.subarray(0, own));
      for (const [at, row] of rows.entries()) {
        addProduct(
          (sums[at] as Uint8Array).subarray(0, width),
          source.subarray(0, width),
          row[index] as number,
        );
      }
      run.add(width);
    }
    for (const [at, sum] of sums.entries()) {
      const bytes = sum.subarray(0, width);
      hashes[1][at]?.update(bytes);
      await output.write(Math.floor(at / perFile), bytes, (at % perFile) * sliceBytes + column);
    }
  }
  await output.sync();
  const [data, parity] = hashes.map((list) => list.map((hash) => `sha256:${hash.digest('hex')}`));
  return { sliceBytes, slices: data as string[], parity: parity as string[], files };
}

type Hashes = ReturnType<typeof createHash>[];

class OutputFiles implements AsyncDisposable {
  readonly #files: FileHandle[] = [];

  static async create(paths: readonly string[]): Promise<OutputFiles> {
    const output = new OutputFiles();
    for (const path of paths) {
      const file = await open(path, 'wx', 0o644);
      output.#files.push(file);
      await file.chmod(0o644).catch(() => {});
    }
    return output;
  }

  async write(file: number, bytes: Uint8Array, position: number): Promise<void> {
    const handle = this.#files[file] as FileHandle;
    for (let done = 0; done < bytes.byteLength; ) {
      done += (await handle.write(bytes, done, bytes.byteLength - done, position + done)).bytesWritten;
    }
  }

  async sync(): Promise<void> {
    for (const file of this.#files) await file.sync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files) await file.close();
  }
}
