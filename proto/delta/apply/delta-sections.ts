import { type Bytes, NOTHING, type Pieces, sliceOf } from '../bytes/bytes.ts';
import { Dictionary } from '../format/dictionary.ts';
import { type Header, readHeader, STREAMS, type StreamName } from '../format/header.ts';
import { DeltaInvalid } from '../format/invalid.ts';
import { SectionReader } from '../format/section.ts';

/** The sections of a delta while they are read. At the end, nothing may be left of any. */
export class DeltaSections {
  readonly target: Header['target'];
  readonly #streams: Header['streams'];
  readonly #sections = {} as Record<StreamName, Bytes>;
  readonly #dictionary = new Dictionary();
  /** Streams that were opened, and those of them of which nothing may be left. */
  readonly #opened = new Set<StreamName>();
  readonly #leftovers: (() => boolean)[] = [];

  /** @throws DeltaInvalid */
  constructor(delta: Bytes) {
    const { streams, sectionsAt, target } = readHeader(delta);
    this.target = target;
    this.#streams = streams;
    let at = sectionsAt;
    for (const name of STREAMS) {
      this.#sections[name] = sliceOf(delta, at, streams[name].section);
      at += streams[name].section;
    }
  }

  /** Bytes of a stream. */
  lengthOf(name: StreamName): number {
    return this.#streams[name].length;
  }

  /** Reads a stream, all of it. @param base what its pieces refer to */
  open(name: StreamName, base: Bytes = NOTHING): SectionReader {
    const reader = this.openInPart(name, base);
    this.#leftovers.push(() => isLeft(reader));
    return reader;
  }

  /** Reads a stream of which the end may be unread. */
  openInPart(name: StreamName, base: Bytes = NOTHING): SectionReader {
    this.#opened.add(name);
    return new SectionReader(this.#sections[name], base, this.lengthOf(name), this.#dictionary);
  }

  /** Checked before all that was added before: what is read last reads the others to their end. */
  addLeftover(isThere: () => boolean): void {
    this.#leftovers.unshift(isThere);
  }

  /** @throws DeltaInvalid if something is left */
  refuseLeftovers(): void {
    const isUnopened = STREAMS.some((name) => !this.#opened.has(name) && this.#streams[name].section > 0);
    if (isUnopened || this.#leftovers.some((isThere) => isThere())) {
      throw new DeltaInvalid('it has more than the target needs');
    }
  }
}

const isLeft = (pieces: Pieces): boolean => pieces.at < pieces.piece.length || pieces.refill();
