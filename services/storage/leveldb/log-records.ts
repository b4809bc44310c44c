import { crc32c, masked } from './crc32c.ts';

/**
 * LevelDB's log format, used by its logs and its manifest (doc/log_format.md): 32 KiB blocks of records, each with a
 * checksum, a length and a type. A record that does not fit into its block continues as a fragment in the next one.
 */

export const BLOCK = 32 * 1024;
export const HEADER = 7;
const [FULL, FIRST, MIDDLE, LAST] = [1, 2, 3, 4] as const;

export type LogPart =
  | { kind: 'record'; offset: number; bytes: Uint8Array }
  /** `length` bytes that are not records. `written`: they were on the disk, as only a length is wrong. */
  | { kind: 'damage'; offset: number; length: number; written: boolean }
  /** The file ends within a record: its writer was killed there. */
  | { kind: 'cut'; offset: number; length: number };

type Damage = { offset: number; length: number; written: boolean };

/**
 * All parts of a log, in order. After damage, it continues with the next record whose checksum is correct. LevelDB
 * itself drops the rest of the block, and takes a damaged length near the end for the end of the log.
 */
export function* logParts(log: Uint8Array): Generator<LogPart> {
  /** A record whose last fragment has not been read yet. */
  let partial: { offset: number; fragments: Uint8Array[] } | undefined;
  let damage: Damage | undefined;
  let cut: number | undefined;
  for (let start = 0; start < log.length && cut === undefined; start += BLOCK) {
    const end = Math.min(start + BLOCK, log.length);
    let at = start;
    while (end - at >= HEADER) {
      const next = intactUntil(log, at, end);
      if (next === undefined) {
        const resumeAt = nextIntact(log, at + 1, end);
        if (resumeAt === undefined && isCut(log, at, start, end)) break;
        const written = resumeAt === undefined && isLengthDamaged(log, at, end);
        damage = extended(damage, partial?.offset ?? at, resumeAt ?? end, written);
        partial = undefined;
        at = resumeAt ?? end;
        continue;
      }
      const type = log[at + 6] as number;
      const isStart = type === FULL || type === FIRST;
      // A record without its last fragment, or a fragment of a record whose start is damaged.
      if (isStart && partial) damage = extended(damage, partial.offset, at);
      if (!isStart && !partial) damage = extended(damage, at, next);
      if (isStart) partial = { offset: at, fragments: [] };
      partial?.fragments.push(log.subarray(at + HEADER, next));
      if (partial && (type === FULL || type === LAST)) {
        if (damage) yield { kind: 'damage', ...damage };
        damage = undefined;
        yield { kind: 'record', offset: partial.offset, bytes: joined(partial.fragments) };
        partial = undefined;
      }
      at = next;
    }
    if (end === log.length && at < end && end < start + BLOCK) cut = at;
  }
  if (damage) yield { kind: 'damage', ...damage };
  const offset = partial?.offset ?? cut;
  if (offset !== undefined) yield { kind: 'cut', offset, length: log.length - offset };
}

/** End of the record that starts at `at`; undefined if no intact record does. */
function intactUntil(log: Uint8Array, at: number, end: number): number | undefined {
  const type = log[at + 6] as number;
  const next = at + HEADER + lengthAt(log, at);
  if (next > end || type < FULL || type > LAST) return undefined;
  return checksumAt(log, at) === masked(crc32c(log, at + 6, next)) ? next : undefined;
}

function nextIntact(log: Uint8Array, from: number, end: number): number | undefined {
  for (let at = from; at + HEADER <= end; at += 1) if (intactUntil(log, at, end) !== undefined) return at;
  return undefined;
}

/** Whether the file ends before the record at `at` does, in a block that has room for the record. */
function isCut(log: Uint8Array, at: number, start: number, end: number): boolean {
  const next = at + HEADER + lengthAt(log, at);
  return end === log.length && next > end && next <= start + BLOCK && !isLengthDamaged(log, at, end);
}

/**
 * Whether only the length of the record at `at` is damaged: the checksum, which does not cover the length, matches the
 * bytes up to the end of the file.
 */
const isLengthDamaged = (log: Uint8Array, at: number, end: number): boolean =>
  end === log.length && checksumAt(log, at) === masked(crc32c(log, at + 6, end));

const checksumAt = (log: Uint8Array, at: number): number =>
  new DataView(log.buffer, log.byteOffset + at, HEADER).getUint32(0, true);

const lengthAt = (log: Uint8Array, at: number): number =>
  (log[at + 4] as number) + (log[at + 5] as number) * 256;

function extended(damage: Damage | undefined, from: number, to: number, written = false): Damage {
  const offset = damage?.offset ?? from;
  return { offset, length: to - offset, written: written || damage?.written === true };
}

const joined = (fragments: Uint8Array[]): Uint8Array =>
  fragments.length === 1 ? (fragments[0] as Uint8Array) : Buffer.concat(fragments);

/** Encodes records as a log. */
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
      const isFirst = at === 0;
      const isLast = at + length === record.length;
      const type = isFirst ? (isLast ? FULL : FIRST) : isLast ? LAST : MIDDLE;
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
