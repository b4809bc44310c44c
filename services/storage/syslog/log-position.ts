import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { auditFilesOf } from '../audit/audit-file.ts';
import { numberOf } from '../audit/audit-line.ts';

/**
 * A position in the audit log: the end of an entry. It names its file by the content, so that it stays valid when files
 * are renamed, copied or restored.
 */
export type LogPosition = {
  /** Hash of the first line of the file. */
  file: string;
  /** Bytes before the position. */
  offset: number;
  /** Hash of the last bytes before it: a power cut may have replaced them. */
  tail: string;
  /** Number of the entry that ends there; 0 if it has none. */
  number: number;
};

export type Located = {
  file: FileHandle;
  position: LogPosition;
  /** Number of entries after the former position that are not on the disk any more. */
  lost: number;
};

/** Max bytes of a first line that identify its file. */
const MAX_FIRST_BYTES = 64 * 1024;
const TAIL_BYTES = 256;
const NEWLINE = 0x0a;

/**
 * Opens the file of the position; without a position, or if its file is deleted, the oldest one, at its beginning.
 * Files must not be renamed meanwhile. The caller closes the file.
 * @returns undefined if there are no entries
 */
export async function locate(path: string, position: LogPosition | undefined): Promise<Located | undefined> {
  const paths = await auditFilesOf(path);
  for (const one of position ? paths.toReversed() : []) {
    const file = await open(one, 'r');
    const found = await positionIn(file, position as LogPosition);
    if (found) return { file, position: found, lost: 0 };
    await file.close();
  }
  for (const one of paths) {
    const file = await open(one, 'r');
    const start = await startOf(file);
    if (start) return { file, position: start, lost: position ? lostBetween(position, start) : 0 };
    await file.close();
  }
  return undefined;
}

/** Number of entries between two positions; 0 if the log begins again with smaller numbers. */
export const lostBetween = (before: LogPosition, after: LogPosition): number =>
  Math.max(0, after.number - before.number);

/** If the file is the one of the position: the position, or the beginning if the content before it is another one. */
async function positionIn(file: FileHandle, position: LogPosition): Promise<LogPosition | undefined> {
  const start = await startOf(file);
  if (start?.file !== position.file) return undefined;
  const { size } = await file.stat();
  const isSame = position.offset <= size && (await tailAt(file, position.offset)) === position.tail;
  return isSame ? position : start;
}

/** Undefined as long as the file has no complete line. */
export async function startOf(file: FileHandle): Promise<LogPosition | undefined> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_FIRST_BYTES), 0, MAX_FIRST_BYTES, 0);
  const end = buffer.subarray(0, bytesRead).indexOf(NEWLINE);
  if (end < 0 && bytesRead < MAX_FIRST_BYTES) return undefined;
  const first = buffer.subarray(0, end < 0 ? MAX_FIRST_BYTES : end);
  const number = numberOf(first.subarray(0, 200).toString());
  return {
    file: hashOf(first),
    offset: 0,
    tail: hashOf(Buffer.alloc(0)),
    number: Math.max(0, (number ?? 1) - 1),
  };
}

export async function tailAt(file: FileHandle, offset: number): Promise<string> {
  const length = Math.min(TAIL_BYTES, offset);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset - length);
  return hashOf(buffer.subarray(0, bytesRead));
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 32);
