import { crc32c, masked } from './crc32c.ts';

/**
 * LevelDB's log format, in which its logs and its manifest are written (doc/log_format.md): blocks of 32 KiB of
 * records, each with checksum, length and type; what is longer than the rest of a block goes on in the next one.
 */

export const BLOCK = 32 * 1024;
export const HEADER = 7;
const [FULL, FIRST, MIDDLE, LAST] = [1, 2, 3, 4] as const;

export type LogPart =
  | { kind: 'record'; offset: number; bytes: Uint8Array }
  /** From here on, so many bytes are no records. `written`: they were on the disk, as one in which only its length is wrong. */
  | { kind: 'damage'; offset: number; length: number; written: boolean }
  /** The file ends in the middle of a record: whoever wrote it was ended there. */
  | { kind: 'cut'; offset: number; length: number };

type Damage = { offset: number; length: number; written: boolean };

/**
 * All that is in a log, in order. Behind what is damaged, it goes on with the next record whose checksum is right:
 * LevelDB itself drops the rest of the block, and takes a damaged length near the end for the end.
 */
export function* partsOf(log: Uint8Array): Generator<LogPart> {
  /** Fragments of a record that has begun. */
  let begun: { offset: number; fragments: Uint8Array[] } | undefined;
  let damage: Damage | undefined;
  let cut: number | undefined;
  for (let start = 0; start < log.length && cut === undefined; start += BLOCK) {
    const end = Math.min(start + BLOCK, log.length);
    let at = start;
    while (end - at >= HEADER) {
      const next = soundUntil(log, at, end);
      if (next === undefined) {
        const resumed = nextSound(log, at + 1, end);
        if (resumed === undefined && isCut(log, at, start, end)) break;
        const written = resumed === undefined && isWhole(log, at, end);
        damage = grown(damage, begun?.offset ?? at, resumed ?? end, written);
        begun = undefined;
        at = resumed ?? end;
        continue;
      }
      const type = log[at + 6] as number;
      const opens = type === FULL || type === FIRST;
      // A beginning without its end, or the end of something that began in what is damaged.
      if (opens && begun) damage = grown(damage, begun.offset, at);
      if (!opens && !begun) damage = grown(damage, at, next);
      if (opens) begun = { offset: at, fragments: [] };
      begun?.fragments.push(log.subarray(at + HEADER, next));
      if (begun && (type === FULL || type === LAST)) {
        if (damage) yield { kind: 'damage', ...damage };
        damage = undefined;
        yield { kind: 'record', offset: begun.offset, bytes: joined(begun.fragments) };
        begun = undefined;
      }
      at = next;
    }
    if (end === log.length && at < end && end < start + BLOCK) cut = at;
  }
  if (damage) yield { kind: 'damage', ...damage };
  const offset = begun?.offset ?? cut;
  if (offset !== undefined) yield { kind: 'cut', offset, length: log.length - offset };
}

/** Where the record ends that begins here; undefined where none does. */
function soundUntil(log: Uint8Array, at: number, end: number): number | undefined {
  const type = log[at + 6] as number;
  const next = at + HEADER + lengthAt(log, at);
  if (next > end || type < FULL || type > LAST) return undefined;
  return checksumAt(log, at) === masked(crc32c(log, at + 6, next)) ? next : undefined;
}

function nextSound(log: Uint8Array, from: number, end: number): number | undefined {
  for (let at = from; at + HEADER <= end; at += 1) if (soundUntil(log, at, end) !== undefined) return at;
  return undefined;
}

/** The file ends before the record does, in a block that has room for it. */
function isCut(log: Uint8Array, at: number, start: number, end: number): boolean {
  const next = at + HEADER + lengthAt(log, at);
  return end === log.length && next > end && next <= start + BLOCK && !isWhole(log, at, end);
}

/** Up to the end of the file it is as its checksum says, which does not cover the length: that alone is damaged. */
const isWhole = (log: Uint8Array, at: number, end: number): boolean =>
  end === log.length && checksumAt(log, at) === masked(crc32c(log, at + 6, end));

const checksumAt = (log: Uint8Array, at: number): number =>
  new DataView(log.buffer, log.byteOffset + at, HEADER).getUint32(0, true);

const lengthAt = (log: Uint8Array, at: number): number =>
  (log[at + 4] as number) + (log[at + 5] as number) * 256;

function grown(damage: Damage | undefined, from: number, to: number, written = false): Damage {
  const offset = damage?.offset ?? from;
  return { offset, length: to - offset, written: written || damage?.written === true };
}

const joined = (fragments: Uint8Array[]): Uint8Array =>
  fragments.length === 1 ? (fragments[0] as Uint8Array) : Buffer.concat(fragments);

/** A log of these records. */
export function logOf(records: Iterable<Uint8Array>): Buffer {
  const parts: Buffer[] = [];
  let room = BLOCK;
  for (const record of records) {
    let at = 0;
    do {
      if (room < HEADER) {
        parts.push(Buffer.alloc(room));
        room = BLOCK;
      }
      const length = Math.min(record.length - at, room - HEADER);
      const begins = at === 0;
      const ends = at + length === record.length;
      const type = begins ? (ends ? FULL : FIRST) : ends ? LAST : MIDDLE;
      const part = Buffer.alloc(HEADER + length);
      part.writeUInt16LE(length, 4);
      part.writeUInt8(type, 6);
      part.set(record.subarray(at, at + length), HEADER);
      part.writeUInt32LE(masked(crc32c(part, 6)), 0);
      parts.push(part);
      room -= part.length;
      at += length;
    } while (at < record.length);
  }
  return Buffer.concat(parts);
}
