import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { BackupId, MAX_MISSING_NAMED } from '#proto/content/backups.ts';
import { check } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Bytes, Count, FilePath, Instant } from '#proto/contract/scalars.ts';
import { type Static, Type } from '#proto/contract/schema.ts';
import { Digest } from '#proto/oci/names.ts';
import { blobPath } from '#proto/volume/layout.ts';

/*
 * A backup target, a folder or a tar file with the same entries:
 *
 *   terrace-backup.json           `BackupMark`: which layer it belongs to
 *   backups/<id>.json             `BackupList`; the backup exists if and only if this file does
 *   backups/<id>.metadata.zst     its metadata: see dump.ts
 *   blobs/<algorithm>/<2 digits>/<hex>   content, shared by all backups
 *   new/                          files that are being written
 *   lock                          see target-lock.ts
 *
 * `BackupTarget` (backup-target.ts) writes one backup, to a folder (folder-target.ts) or a tar file (tar-target.ts,
 * tar-format.ts). `BackupSource` (backup-source.ts) reads a target. Copies are read back, past the cache of the system
 * (copy-content.ts, direct-read.ts), several at a time (copies.ts), at a rate (pace.ts). target-faults.ts explains
 * failures.
 */

export const FORMAT = 1;
/** Max files of the configuration that are named. */
export const MAX_NAMED_FILES = 1_000;
export const MARK = 'terrace-backup.json';
export const LISTS = 'backups';
export const NEW = 'new';
export const LOCK = 'lock';

const LIST_END = '.json';
const DUMP_END = '.metadata.zst';

export const listPath = (id: string): string => join(LISTS, `${id}${LIST_END}`);
export const dumpPath = (id: string): string => join(LISTS, `${id}${DUMP_END}`);

/** Path of a blob in a target. */
export function contentPath(digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':');
  return blobPath(algorithm, hex);
}

const idForm = new RegExp(BackupId.pattern as string);

/** The id of the backup that a file of this name in `backups/` belongs to; undefined for any other file. */
export function idOfFile(name: string): { id: string; isList: boolean } | undefined {
  const isList = name.endsWith(LIST_END);
  const id = name.slice(0, -(isList ? LIST_END : DUMP_END).length);
  return (isList || name.endsWith(DUMP_END)) && idForm.test(id) ? { id, isList } : undefined;
}

/** @param n above 1: there is another one of this second */
export const idOf = (at: Date, n: number): string =>
  `${at.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z${n > 1 ? `-${n}` : ''}`;

export const BackupMark = Type.Object({
  format: Type.Integer(),
  layer: Type.String({ maxLength: 300 }),
  instance: Type.String({ maxLength: 64 }),
});
export type BackupMark = Static<typeof BackupMark>;

export const DumpFacts = Type.Object({
  bytes: Bytes,
  /** Of the file. */
  sha256: Type.String({ maxLength: 64 }),
  records: Count,
});
export type DumpFacts = Static<typeof DumpFacts>;

export const BackupList = Type.Object({
  format: Type.Integer(),
  id: BackupId,
  at: Instant,
  /** Of the Terrace that made it, and of the table of keys of its metadata. */
  terrace: Type.String({ maxLength: 64 }),
  metadata: Type.Integer(),
  layer: Type.String({ maxLength: 300 }),
  instance: Type.String({ maxLength: 64 }),
  dump: DumpFacts,
  /** `sha256`: of the lines `<digest> <size>` of all content, in bytewise order. */
  content: Type.Object({ blobs: Count, bytes: Bytes, sha256: Type.String({ maxLength: 64 }) }),
  missing: Type.Object({ blobs: Count, first: Type.Array(Digest, { maxItems: MAX_MISSING_NAMED }) }),
  /** The configuration in force, for information: it is not restored. */
  configuration: Type.Optional(Type.Unknown()),
  /** Files that it names: the backup does not have them. */
  files: Type.Optional(Type.Array(FilePath, { maxItems: MAX_NAMED_FILES })),
  /** SHA-256 of the JSON of all other fields, in this order. */
  sha256: Type.String({ maxLength: 64 }),
});
export type BackupList = Static<typeof BackupList>;

/** Max size of a list, in bytes. */
export const MAX_LIST_BYTES = 16 * 1024 * 1024;

const sumOf = (list: Omit<BackupList, 'sha256'>): string =>
  createHash('sha256').update(JSON.stringify(list)).digest('hex');

export function formatList(list: Omit<BackupList, 'sha256'>): string {
  return `${JSON.stringify({ ...list, sha256: sumOf(list) }, null, 1)}\n`;
}

/** @throws Fault `unsupported` for a later format, `malformed` if it is damaged */
export function parseList(text: string, name: string): BackupList {
  const damaged = (cause?: unknown) =>
    new Fault('malformed', `the list ${name} of a backup is damaged: use another backup`, { cause });
  let value: { format?: unknown };
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged(cause);
  }
  if (typeof value?.format === 'number' && value.format > FORMAT) {
    throw new Fault(
      'unsupported',
      `the backup ${name} has format ${value.format}, this Terrace supports ${FORMAT}: use the Terrace that made it, or a later one`,
    );
  }
  let list: BackupList;
  try {
    list = check(BackupList, value);
  } catch (cause) {
    throw damaged(cause);
  }
  const { sha256, ...rest } = list;
  if (sumOf(rest) !== sha256) throw damaged();
  return list;
}
