import { hash } from 'node:crypto';
import { OddLayer } from './odd-layer.ts';
import type { TocEntry } from './toc-entries.ts';

/**
 * The parts of a layer that are compressed by themselves, without gaps, up to `end`. `starts`: their offsets, ascending
 * from 0. `keys`: a hash of all from which each was made; the same encoder makes the same bytes of it.
 */
export type Segments = { starts: number[]; keys: number[]; end: number };

/** Max segments of a layer: two for each file. */
const MAX_SEGMENTS = 400_000;
/** Bytes of a hash that are a key. */
const KEY_BYTES = 6;
/** Max characters that are gathered before they are replaced by their hash. */
const MAX_TEXT = 64 * 1024;
/** Fields that say where the content of a file is, and what it is. All others are those of a tar header. */
const PLACES = new Set([
  'digest',
  'offset',
  'endOffset',
  'innerOffset',
  ...['chunkSize', 'chunkOffset', 'chunkDigest', 'chunkType'],
]);

/**
 * Cuts a layer into segments, by the entries of its table of contents, which are in the order of the tar. Pure.
 *
 * The content of a file, or each chunk of it, begins a new frame. With zstd:chunked the frame has this content alone,
 * and the headers up to the next content are a frame of their own, of which the table does not have the position: it is
 * what lies between. With eStargz they end the frame of the content.
 */
export class SegmentCutter {
  readonly #end: number;
  readonly #starts: number[] = [];
  readonly #keys: number[] = [];
  /** Where the current segment begins, and what it was made from so far. */
  #at = 0;
  #text = '';
  /** End of the content of the current file; 0: the table does not say. */
  #contentEnd = 0;
  /** Size of the current file: the tar pads it. */
  #size = 0;

  /** @param end see `TocPlace` */
  constructor(end: number) {
    this.#end = end;
  }

  /** @throws OddLayer */
  add(entry: TocEntry): void {
    if (entry.type !== 'chunk') {
      this.#endContent();
      this.#size = numberIn(entry, 'size');
      this.#note(headerOf(entry));
    }
    const digest = entry.chunkDigest || entry.digest;
    const offset = numberIn(entry, 'offset');
    if (offset === 0 || typeof digest !== 'string') return;
    this.#cut(offset);
    this.#note(`${digest} ${numberIn(entry, 'chunkSize')} ${numberIn(entry, 'innerOffset')}`);
    const contentEnd = numberIn(entry, 'endOffset');
    if (contentEnd > 0) this.#contentEnd = contentEnd;
  }

  /** @throws OddLayer */
  finish(): Segments {
    this.#endContent();
    this.#note('end');
    this.#cut(this.#end);
    return { starts: this.#starts, keys: this.#keys, end: this.#end };
  }

  #endContent(): void {
    if (this.#contentEnd > 0) this.#cut(this.#contentEnd);
    this.#contentEnd = 0;
    this.#note(`padding ${this.#size % 512}`);
  }

  #note(text: string): void {
    this.#text += `${text}\n`;
    if (this.#text.length > MAX_TEXT) this.#text = hash('sha256', this.#text);
  }

  /** Ends the segment, if it is not empty. */
  #cut(at: number): void {
    if (at < this.#at || at > this.#end) throw new OddLayer('its table of contents is not in order');
    // Contents that share a frame have the same offset.
    if (at === this.#at) return;
    if (this.#starts.length === MAX_SEGMENTS) throw new OddLayer('it has too many files');
    this.#starts.push(this.#at);
    this.#keys.push(hash('sha256', this.#text, 'buffer').readUIntBE(0, KEY_BYTES));
    this.#at = at;
    this.#text = '';
  }
}

const headerOf = (entry: TocEntry): string =>
  JSON.stringify(Object.entries(entry).filter(([field]) => !PLACES.has(field)));

/** @returns 0 if the field is missing */
function numberIn(entry: TocEntry, field: string): number {
  const value = entry[field] ?? 0;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new OddLayer(`its table of contents has no valid ${field}`);
  return value;
}
