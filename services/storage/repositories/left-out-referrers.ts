import { isDeepStrictEqual } from 'node:util';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import {
  EVERY_MANIFEST,
  type LeftOutRecord,
  type LeftOutReferrers as Listed,
} from '#proto/content/left-out-referrers.ts';
import { type Change, drop, type Metadata, put } from '../metadata/metadata.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';
import { type ListQuery, page } from '../metadata/page.ts';

/**
 * Records of referrers that are left out (`proto/content/left-out-referrers.ts`). Functions that return changes are for
 * callers that hold the repository's lock.
 */

type LeftOutDeps = { metadata: Metadata; locks: KeyedLock };
type OfSubject = { repository: string; subject: string };

export class LeftOutReferrers {
  readonly #deps: LeftOutDeps;

  constructor(deps: LeftOutDeps) {
    this.#deps = deps;
  }

  /** An equal record is not written again: each write makes the layers below ask again. */
  async record({ repository, subject, count, first }: OfSubject & LeftOutRecord): Promise<void> {
    const { metadata, locks } = this.#deps;
    await locks.run(`repository ${repository}`, async () => {
      const [before] = await metadata.leftOutReferrersBySubject(repository, [subject]);
      const isHere =
        subject === EVERY_MANIFEST
          ? await metadata.repository(repository)
          : await metadata.manifest(repository, subject);
      const record = count > 0 && isHere ? { count, first } : undefined;
      if (!isDeepStrictEqual(before, record)) await metadata.write(changesFor(repository, subject, record));
    });
  }

  async list({
    after,
    limit,
  }: ListQuery): Promise<{ records: (OfSubject & LeftOutRecord)[]; more: boolean }> {
    const source = this.#deps.metadata.allLeftOutReferrers(after);
    const [entries, more] = await page(source, limit, ([, record]) => JSON.stringify(record).length);
    const records = entries.map(([key, record]) => {
      const [repository, subject] = key.split('!') as [string, string];
      return { repository, subject, ...record };
    });
    return { records, more };
  }
}

/** What the list of the subject's referrers lacks; undefined if nothing. */
export async function leftOutOf(
  metadata: MetadataReader,
  repository: string,
  subject: string,
): Promise<Listed | undefined> {
  const [record, all] = await metadata.leftOutReferrersBySubject(repository, [subject, EVERY_MANIFEST]);
  const [why] = all?.first ?? [];
  if (!record && !why) return undefined;
  const hidden = why && { hidden: { code: why.code, reason: why.reason } };
  return { ...(record ?? { count: 0, first: [] }), ...hidden };
}

/** For the batch that puts a referrer: it is not left out. */
export async function onReferrerPut(
  metadata: MetadataReader,
  repository: string,
  subject: string,
  digest: string,
): Promise<Change[]> {
  const [record] = await metadata.leftOutReferrersBySubject(repository, [subject]);
  const first = record?.first.filter((one) => one.digest !== digest) ?? [];
  if (!record || first.length === record.first.length) return [];
  const count = record.count - (record.first.length - first.length);
  return changesFor(repository, subject, count > 0 ? { count, first } : undefined);
}

/** For the batch that deletes a manifest. */
export async function onSubjectDeleted(
  metadata: MetadataReader,
  repository: string,
  subject: string,
): Promise<Change[]> {
  const [record] = await metadata.leftOutReferrersBySubject(repository, [subject]);
  return record ? drop.leftOutReferrers(repository, subject) : [];
}

/** For a batch that leaves the repository without manifests. */
export async function onRepositoryEmptied(metadata: MetadataReader, repository: string): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const [subject] of metadata.leftOutReferrersOfRepository(repository))
    changes.push(...drop.leftOutReferrers(repository, subject));
  return changes;
}

const changesFor = (repository: string, subject: string, record: LeftOutRecord | undefined): Change[] =>
  record ? put.leftOutReferrers(repository, subject, record) : drop.leftOutReferrers(repository, subject);
