import { createHash } from 'node:crypto';
import {
  type LeftOutRecord,
  type LeftOutReferrer,
  listRecorded,
  MAX_RECORDED,
  MAX_RECORDED_REASON,
  recordLeftOut,
} from '#proto/content/left-out-referrers.ts';
import { clip } from '#proto/contract/clip.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { LeftOutItem } from '#proto/sync/left-out.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import { listEntries } from './lists.ts';

/** Hash of a record by subject. */
type Records = Map<Digest, string>;

/**
 * Keeps storage's records of left-out referrers (`proto/content/left-out-referrers.ts`) equal to what a pass finds.
 * They are read once in a pass, when it first visits an image; only differences are written.
 */
export class LeftOutRecords {
  readonly #bus: FencedBus;
  readonly #signal: AbortSignal;
  #records: Promise<Map<Repository, Records>> | undefined;
  /** Subjects that have a record in this pass. */
  readonly #confirmed = new Set<string>();

  constructor(bus: FencedBus, signal: AbortSignal) {
    this.#bus = bus;
    this.#signal = signal;
  }

  /** @param subjects all whose referrers were looked at; `items` without one of these subjects are not recorded */
  async replace(
    repository: Repository,
    subjects: readonly Digest[],
    items: readonly LeftOutItem[],
  ): Promise<void> {
    const bySubject = Map.groupBy(items, ({ subject }) => subject);
    for (const subject of subjects) {
      const record = recordOf(bySubject.get(subject) ?? []);
      if (record.count > 0) this.#confirmed.add(`${repository}@${subject}`);
      await this.#write(repository, subject, record);
    }
  }

  /** Deletes the records that a pass which compared all of the repository has not replaced. */
  async dropUnconfirmed(repository: Repository): Promise<void> {
    for (const subject of [...(await this.#of(repository)).keys()])
      if (!this.#confirmed.has(`${repository}@${subject}`))
        await this.#write(repository, subject, recordOf([]));
  }

  async #write(repository: Repository, subject: Digest, record: LeftOutRecord): Promise<void> {
    const records = await this.#of(repository);
    const hash = record.count > 0 ? hashOf(record) : undefined;
    if (records.get(subject) === hash) return;
    await this.#bus.call(recordLeftOut, { repository, subject, ...record }, { signal: this.#signal });
    if (hash) records.set(subject, hash);
    else records.delete(subject);
  }

  async #of(repository: Repository): Promise<Records> {
    this.#records ??= this.#read();
    const all = await this.#records;
    const known = all.get(repository) ?? new Map<Digest, string>();
    all.set(repository, known);
    return known;
  }

  async #read(): Promise<Map<Repository, Records>> {
    const all = new Map<Repository, Records>();
    const entries = listEntries(
      (page) => this.#bus.call(listRecorded, page, { signal: this.#signal }),
      ({ records }) => records,
      ({ repository, subject }) => `${repository}!${subject}`,
    );
    for await (const { repository, subject, ...record } of entries) {
      const known = all.get(repository) ?? new Map<Digest, string>();
      all.set(repository, known.set(subject, hashOf(record)));
    }
    return all;
  }
}

/** In an order that does not depend on which answer came first. */
function recordOf(items: readonly LeftOutItem[]): LeftOutRecord {
  const found = items.flatMap(({ kind, digest, artifactType, code, reason }): LeftOutReferrer[] => {
    if (kind !== 'referrer' && kind !== 'referrers') return [];
    const what = {
      ...(digest !== undefined && { digest }),
      ...(artifactType !== undefined && { artifactType }),
    };
    return [{ kind, ...what, code, reason: clip(reason, MAX_RECORDED_REASON) }];
  });
  found.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  return { count: found.length, first: found.slice(0, MAX_RECORDED) };
}

const nameOf = ({ kind, digest = '', artifactType = '', code }: LeftOutReferrer): string =>
  `${kind} ${digest} ${artifactType} ${code}`;

/** Without the reasons: their words may change with each answer, and each write makes the layers below ask again. */
const hashOf = ({ count, first }: LeftOutRecord): string =>
  createHash('sha256')
    .update(JSON.stringify([count, ...first.map(nameOf)]))
    .digest('base64');
