import { OddLayer } from './odd-layer.ts';

/** An entry of a table of contents. Only fields that decide what bytes the layer has are read. */
export type TocEntry = Record<string, unknown> & { type: string };

/** Max size of an entry, in bytes: a name, a target and extended attributes. */
const MAX_ENTRY_BYTES = 256 * 1024;
/** Max depth within an entry. */
const MAX_DEPTH = 8;

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Finds the entries in the text of a table: `{"version":1,"entries":[{…},{…}],…}`. One entry is in memory at a time.
 * Everything else at the top is skipped.
 */
export class TocEntries {
  /** Of open objects and lists. Entries are at 2. */
  #depth = 0;
  #isQuoted = false;
  #isEscaped = false;
  /** The beginning of an entry whose end has not come yet. */
  #parts: Buffer[] = [];
  #bytes = 0;

  /** @throws OddLayer */
  *add(text: Buffer): Generator<TocEntry> {
    let from = this.#depth > 2 ? 0 : -1;
    for (let at = 0; at < text.length; at += 1) {
      const byte = text[at];
      if (this.#isQuoted) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) this.#isQuoted = false;
      } else if (byte === QUOTE) this.#isQuoted = true;
      else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
        if (this.#depth === 2 && byte === OPEN_OBJECT) from = at;
        this.#depth += 1;
        if (this.#depth > MAX_DEPTH) throw new OddLayer('its table of contents is nested too deeply');
      } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
        this.#depth -= 1;
        if (this.#depth !== 2 || from < 0) continue;
        this.#keep(text.subarray(from, at + 1));
        yield this.#entry();
        from = -1;
      }
    }
    if (from >= 0) this.#keep(Buffer.from(text.subarray(from)));
  }

  #keep(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > MAX_ENTRY_BYTES)
      throw new OddLayer('its table of contents has an entry that is too long');
    this.#parts.push(part);
  }

  #entry(): TocEntry {
    const text = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    try {
      const entry: unknown = JSON.parse(text.toString());
      if (isEntry(entry)) return entry;
    } catch (cause) {
      throw new OddLayer('its table of contents is not JSON', { cause });
    }
    throw new OddLayer('its table of contents has an entry without a type');
  }
}

const isEntry = (value: unknown): value is TocEntry =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
