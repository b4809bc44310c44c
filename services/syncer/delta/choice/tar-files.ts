/** Reads the headers of a tar archive that arrives in pieces: POSIX ustar and pax, GNU and BSD. */

const BLOCK = 512;
/** Max length of an extended header that is read. */
const MAX_EXTENDED_BYTES = 64 * 1024;
/** Types of entries that name the next one: pax (`x`) and GNU (`L`). */
const PAX = 0x78;
const GNU_NAME = 0x4c;
/** Regular files: `0`, and NUL of old archives. */
const REGULAR = [0x30, 0];

type OnFile = (path: string, size: number) => void;

/** Takes the bytes of an archive, and reports its regular files. */
export class TarFiles {
  readonly #onFile: OnFile;
  /** A part of a header, or of an extended one. */
  #partial = Buffer.alloc(0);
  /** Bytes of content and padding that are still to skip. */
  #skip = 0;
  /** The extended header that is being read: its type and its length without padding. */
  #extended: { type: number; length: number } | undefined;
  #next: { path?: string; size?: number } = {};
  #state: 'unknown' | 'tar' | 'ended' | 'other' = 'unknown';

  constructor(onFile: OnFile) {
    this.#onFile = onFile;
  }

  /** Whether the first header was one of an archive. */
  get isTar(): boolean {
    return this.#state === 'tar' || this.#state === 'ended';
  }

  /** More bytes are of no use: this is no archive, or it has ended. */
  get isDone(): boolean {
    return this.#state === 'ended' || this.#state === 'other';
  }

  add(bytes: Uint8Array): void {
    for (let left = bytes; left.length > 0 && !this.isDone; ) {
      const skipped = Math.min(this.#skip, left.length);
      this.#skip -= skipped;
      left = left.subarray(skipped);
      const wanted = this.#extended ? this.#extended.length : BLOCK;
      const taken = left.subarray(0, wanted - this.#partial.length);
      left = left.subarray(taken.length);
      this.#partial = this.#partial.length === 0 ? Buffer.from(taken) : Buffer.concat([this.#partial, taken]);
      if (this.#partial.length < wanted) return;
      const complete = this.#partial;
      this.#partial = Buffer.alloc(0);
      if (this.#extended) this.#readExtended(complete);
      else this.#readHeader(complete);
    }
  }

  #readExtended(content: Buffer): void {
    const { type, length } = this.#extended as { type: number; length: number };
    this.#extended = undefined;
    this.#skip = paddingOf(length);
    if (type === GNU_NAME) this.#next.path = cString(content);
    else this.#next = { ...this.#next, ...paxFields(content) };
  }

  #readHeader(header: Buffer): void {
    if (header.every((byte) => byte === 0)) {
      this.#state = this.#state === 'unknown' ? 'other' : 'ended';
      return;
    }
    const size = numberOf(header.subarray(124, 136));
    if (size === undefined || !hasRightChecksum(header)) {
      this.#state = this.#state === 'unknown' ? 'other' : 'ended';
      return;
    }
    this.#state = 'tar';
    const type = header[156] as number;
    if ((type === PAX || type === GNU_NAME) && size > 0 && size <= MAX_EXTENDED_BYTES) {
      this.#extended = { type, length: size };
      return;
    }
    const { path = pathOf(header), size: length = size } = this.#next;
    this.#next = {};
    this.#skip = length + paddingOf(length);
    if (REGULAR.includes(type)) this.#onFile(path, length);
  }
}

const paddingOf = (length: number): number => (BLOCK - (length % BLOCK)) % BLOCK;

const cString = (field: Buffer): string => {
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end < 0 ? field.length : end);
};

function pathOf(header: Buffer): string {
  const name = cString(header.subarray(0, 100));
  const isUstar = header.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isUstar ? cString(header.subarray(345, 500)) : '';
  return prefix ? `${prefix}/${name}` : name;
}

/** Octal digits, or big-endian with the highest bit set (GNU). */
function numberOf(field: Buffer): number | undefined {
  if ((field[0] as number) & 0x80) {
    const value = Number(field.readBigUInt64BE(field.length - 8));
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const digits = cString(field).trim();
  if (digits === '') return 0;
  return /^[0-7]{1,12}$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

function hasRightChecksum(header: Buffer): boolean {
  let sum = 8 * 0x20;
  for (const [at, byte] of header.entries()) if (at < 148 || at >= 156) sum += byte;
  return numberOf(header.subarray(148, 156)) === sum;
}

/** Records of the form `LENGTH KEY=VALUE\n`. */
function paxFields(content: Buffer): { path?: string; size?: number } {
  const fields: { path?: string; size?: number } = {};
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const length = Number(content.toString('latin1', at, Math.max(at, space)));
    if (space < 0 || !Number.isSafeInteger(length) || length < 5) break;
    const record = content.toString('latin1', space + 1, at + length - 1);
    const [key, value] = [record.slice(0, record.indexOf('=')), record.slice(record.indexOf('=') + 1)];
    if (key === 'path') fields.path = value;
    const size = Number(value);
    if (key === 'size' && Number.isSafeInteger(size) && size >= 0) fields.size = size;
    at += length;
  }
  return fields;
}
