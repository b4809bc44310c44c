import { createHash, type Hash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import type { Content, Piece } from '#proto/archive/list.ts';
import { partName } from '#proto/archive/set-names.ts';
import { splitDigest } from '#proto/oci/names.ts';
import type { ArchiveRun } from '../book/archive-run.ts';
import type { FoundSet } from './found-sets.ts';
import { type PartOfSet, rangeOf, type SetContent } from './set-content.ts';

/** A part that can't be used, and why: a sentence. */
export type BadPart = PartOfSet & { problem: string };

/** Parts that hold this content, each once. */
export function partsWith(source: SetContent, digests: Iterable<string>): PartOfSet[] {
  const parts = new Map<string, PartOfSet>();
  for (const digest of digests) {
    const found = source.find(digest);
    for (const { part } of found?.content.pieces ?? []) {
      const set = (found as { set: FoundSet }).set;
      parts.set(`${set.name} ${part}`, { set, index: part });
    }
  }
  return [...parts.values()];
}

/** Reads parts and compares them with their lists. Content that is split over parts is compared when it is stored. */
export async function verifyParts(
  source: SetContent,
  parts: readonly PartOfSet[],
  run: ArchiveRun,
): Promise<BadPart[]> {
  const total = parts.reduce((sum, { set, index }) => sum + (set.list.parts[index]?.size ?? 0), 0);
  run.begin('verifying parts', total);
  const bad: BadPart[] = [];
  for (const part of parts) {
    const problem = await problemOf(source, part, run);
    if (problem === undefined) continue;
    bad.push({ ...part, problem: `${partName(part.set.name, part.index)} ${problem}` });
  }
  return bad;
}

async function problemOf(source: SetContent, part: PartOfSet, run: ArchiveRun): Promise<string | undefined> {
  const { set, index } = part;
  const listed = set.list.parts[index];
  const path = source.pathOf(part);
  const stats = await stat(path).catch(() => undefined);
  if (!listed || !stats) return 'is missing';
  if (!stats.isFile()) return 'is not a file';
  if (stats.size !== listed.size) return `is damaged: it has ${stats.size} bytes instead of ${listed.size}`;
  try {
    await using file = await open(path, 'r');
    const hash = createHash('sha256');
    const content = new ContentHashes(set, index);
    let at = 0;
    for await (const chunk of rangeOf(file, 0, listed.size)) {
      hash.update(chunk);
      content.update(chunk, at);
      at += chunk.byteLength;
      run.add(chunk.byteLength);
    }
    if (`sha256:${hash.digest('hex')}` !== listed.digest)
      return 'is damaged: it has another digest than its list says';
    const wrong = content.wrong;
    return wrong && `is not what its list says: ${wrong} is not where it should be`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return `can't be read (${code})`;
  }
}

/** Hashes the content of a part while the part is read from its beginning. */
class ContentHashes {
  readonly #pending: { content: Content; piece: Piece }[];
  #hash: Hash | undefined;
  #next = 0;
  #wrong: string | undefined;

  constructor({ list }: FoundSet, index: number) {
    this.#pending = list.content
      .filter(({ pieces }) => pieces.length === 1 && pieces[0]?.part === index)
      .map((content) => ({ content, piece: content.pieces[0] as Piece }))
      .sort((a, b) => a.piece.offset - b.piece.offset);
  }

  /** The first content that differs, if any. Pieces that overlap are wrong, too. */
  get wrong(): string | undefined {
    return this.#wrong ?? this.#pending[this.#next]?.content.digest;
  }

  /** @param at offset of the chunk in the part */
  update(chunk: Uint8Array, at: number): void {
    for (let entry = this.#pending[this.#next]; entry && !this.#wrong; entry = this.#pending[this.#next]) {
      const { content, piece } = entry;
      const end = piece.offset + piece.size;
      const from = Math.max(0, piece.offset - at);
      if (from > chunk.byteLength) return;
      const until = Math.min(chunk.byteLength, end - at);
      const [algorithm, hex] = splitDigest(content.digest);
      this.#hash ??= createHash(algorithm);
      if (until > from) this.#hash.update(chunk.subarray(from, until));
      if (end > at + chunk.byteLength) return;
      if (this.#hash.digest('hex') !== hex) this.#wrong = content.digest;
      this.#hash = undefined;
      this.#next += 1;
    }
  }
}
