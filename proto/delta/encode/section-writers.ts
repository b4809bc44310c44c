import type { Bytes, Scratch } from '../bytes/bytes.ts';
import { type Header, STREAMS, type StreamName } from '../format/header.ts';
import { StreamWriter } from './stream-writer.ts';

/** The sections of a delta while they are written, in any order. */
export class SectionWriters {
  readonly #sections = {} as Record<StreamName, Scratch>;
  readonly #streams = {} as Record<StreamName, StreamWriter>;
  readonly #lengths: Partial<Record<StreamName, number>> = {};

  constructor(scratch: () => Scratch) {
    for (const name of STREAMS) {
      this.#sections[name] = scratch();
      this.#streams[name] = new StreamWriter(this.#sections[name]);
    }
  }

  /** Takes the bytes of a stream that has no references. */
  stream(name: StreamName): StreamWriter {
    return this.#streams[name];
  }

  /** Takes the pieces of a stream; `wrote` has to know its bytes. */
  section(name: StreamName): Scratch {
    return this.#sections[name];
  }

  /** @param length bytes of the stream whose pieces were written */
  wrote(name: StreamName, length: number): void {
    this.#lengths[name] = length;
  }

  /** Writes what is left. */
  end(): { streams: Header['streams']; sections: Bytes[] } {
    const streams = {} as Header['streams'];
    for (const name of STREAMS) {
      const stream = this.#streams[name];
      stream.end();
      streams[name] = { length: this.#lengths[name] ?? stream.length, section: this.#sections[name].size };
    }
    return { streams, sections: STREAMS.map((name) => this.#sections[name]) };
  }
}
