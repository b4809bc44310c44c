import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { Part } from '#proto/archive/list.ts';
import { OCI_INDEX, OCI_LAYOUT, OCI_LAYOUT_TEXT } from '#proto/archive/oci-index.ts';
import type { PackedPart, PartEntry } from '#proto/archive/packing.ts';
import { END_BYTES, fileHeader, layoutPath, padding } from '#proto/archive/tar.ts';
import { Fault } from '#proto/contract/fault.ts';
import { splitDigest } from '#proto/oci/names.ts';
import type { BlobStore } from '../../content/blob-store.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import { FILE_MODE, readableForAll } from './target-folder.ts';

const READ_BYTES = 1024 * 1024;

/** Hashes of content that is split over parts, until its last piece is written. */
export type PieceHashes = Map<string, Hash>;

/**
 * Writes a part and syncs it. All content is compared with its digest on the way.
 * @param index its `index.json`
 * @throws Fault `blob-unknown` if content is damaged or missing
 */
export async function writePart(
  path: string,
  part: PackedPart,
  index: string,
  { store, run, hashes }: { store: BlobStore; run: ArchiveRun; hashes: PieceHashes },
): Promise<Part> {
  await using file = await open(path, 'wx', FILE_MODE);
  await readableForAll(file);
  const output = new HashedFile(file);
  await output.writeFile(OCI_LAYOUT, OCI_LAYOUT_TEXT);
  for (const entry of part.entries) await copyEntry(output, entry, { store, run, hashes });
  await output.writeFile(OCI_INDEX, index);
  await output.write(Buffer.alloc(END_BYTES));
  await file.sync();
  return output.result;
}

/** A file, and the digest of what was written to it. */
class HashedFile {
  readonly #file: FileHandle;
  readonly #hash = createHash('sha256');
  #size = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    for (let done = 0; done < bytes.byteLength; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.byteLength - done);
      done += bytesWritten;
    }
    this.#size += bytes.byteLength;
  }

  async writeFile(path: string, text: string): Promise<void> {
    const bytes = Buffer.from(text);
    await this.write(fileHeader(path, bytes.byteLength));
    await this.write(bytes);
    await this.write(Buffer.alloc(padding(bytes.byteLength)));
  }

  get result(): Part {
    return { size: this.#size, digest: `sha256:${this.#hash.digest('hex')}` };
  }
}

async function copyEntry(
  output: HashedFile,
  { digest, from, size, piece }: PartEntry,
  { store, run, hashes }: { store: BlobStore; run: ArchiveRun; hashes: PieceHashes },
): Promise<void> {
  const [algorithm, hex] = splitDigest(digest);
  const hash = hashes.get(digest) ?? createHash(algorithm);
  await using source = await open(store.file(digest)).catch(() => {
    throw damaged(digest);
  });
  const total = (await source.stat()).size;
  await output.write(fileHeader(layoutPath(digest, piece), size));
  const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, Math.max(1, size)));
  for (let done = 0; done < size; ) {
    const length = Math.min(buffer.byteLength, size - done);
    const { bytesRead } = await source.read(buffer, 0, length, from + done);
    if (bytesRead === 0) throw damaged(digest);
    const bytes = buffer.subarray(0, bytesRead);
    hash.update(bytes);
    await output.write(bytes);
    done += bytesRead;
    run.add(bytesRead);
  }
  await output.write(Buffer.alloc(padding(size)));
  if (from + size < total) hashes.set(digest, hash);
  else if (from + size > total || hash.digest('hex') !== hex) throw damaged(digest);
  else hashes.delete(digest);
}

const damaged = (digest: string): Fault =>
  new Fault(
    'blob-unknown',
    `content ${digest} is damaged or was deleted meanwhile: run "terrace scrub", then export again`,
    { detail: { digest } },
  );
