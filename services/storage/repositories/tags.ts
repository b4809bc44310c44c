import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { tagDeleted, tagMoved } from '#proto/content/content-events.ts';
import type { KnownTag, LeftOutManifest, TagEntry } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { EventOutbox } from '../history/event-outbox.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { type Change, drop, put } from '../metadata/metadata.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';
import { type ListQuery, page } from '../metadata/page.ts';
import { repositoriesDifferingFromBase } from '../metadata/repositories-differing-from-base.ts';
import { isKnown, mustBeKnown } from '../sync/known-tag.ts';
import type { Selection } from '../sync/selection.ts';
import type { TagOrigins } from '../sync/tag-origins.ts';
import { leftOutEntry } from './sparse.ts';

/** Precondition of a change: the digest that the tag points to; `null`: no such tag; undefined: none. */
export type Expect = string | null | undefined;
export type TagMove = {
  tag: string;
  digest: string;
  /** Media type of the manifest. */
  mediaType?: string;
  expect?: Expect;
  base?: boolean | undefined;
  /** As a pass knew the tag when it planned the move; undefined: it does not matter. */
  known?: KnownTag | undefined;
  /** The move arrived from the parent. Defaults to `base`: an agreed state arrived, too. */
  arrived?: boolean | undefined;
};

type AgreedTag = { tag: string; digest: string | null; known?: KnownTag };

type TagsDeps = {
  metadata: Metadata;
  locks: KeyedLock;
  outbox: EventOutbox;
  selection: Selection;
  origins: Pick<TagOrigins, 'recordOf'>;
};

/** Tags and their bases. Faults: see `proto/content/manifests.ts`. */
export class Tags {
  readonly #deps: TagsDeps;

  constructor(deps: TagsDeps) {
    this.#deps = deps;
  }

  /** @param loserTag gets the old target of the tag */
  async put(repository: string, { loserTag, ...move }: TagMove & { loserTag?: string }): Promise<void> {
    const { metadata, locks } = this.#deps;
    await locks.run(`repository ${repository}`, async () => {
      const loser = loserTag === undefined ? undefined : await metadata.tag(repository, move.tag);
      const moves = [move, ...(loserTag && loser ? [{ tag: loserTag, digest: loser }] : [])];
      const prepared = await Promise.all(moves.map((one) => this.#preparePut(repository, one)));
      await metadata.write(prepared.flatMap(({ changes }) => changes));
      for (const { publish } of prepared) publish();
    });
  }

  async #preparePut(repository: string, move: TagMove): ReturnType<Tags['move']> {
    const record = await this.#deps.metadata.manifest(repository, move.digest);
    if (!record) throw await manifestUnknown(this.#deps, repository, move.digest);
    return this.move(repository, { ...move, mediaType: record.mediaType });
  }

  /**
   * Prepares the move of a tag: `changes` for the batch of a caller that holds the repository's lock, `publish` to
   * publish the event once the batch is written.
   * @throws Fault `conflict` if the tag does not point to `expect`, or is not as `known` any more
   */
  async move(
    repository: string,
    { tag, digest, mediaType, expect, base = false, known, arrived = base }: TagMove,
  ): Promise<{ changes: Change[]; publish: () => void }> {
    const { metadata, outbox, selection, origins } = this.#deps;
    const from = await metadata.tag(repository, tag);
    mustBe(repository, tag, expect, from);
    await mustBeKnown(metadata, repository, tag, known);
    const baseChanges = base ? put.base(repository, tag, digest) : [];
    if (from === digest) return { changes: baseChanges, publish: () => {} };
    const event = {
      repository,
      tag,
      digest,
      ...(mediaType && { mediaType }),
      ...(from !== undefined && { from }),
    };
    const origin = arrived ? { arrived } : selection.covers(repository) ? {} : { unselected: true as const };
    const prepared = outbox.prepare(tagMoved, { ...event, ...origin });
    const record = await origins.recordOf(digest, arrived);
    return {
      changes: [...put.tag(repository, tag, digest, record), ...baseChanges, ...prepared.changes],
      publish: prepared.publish,
    };
  }

  async delete(
    repository: string,
    tag: string,
    { expect, base = false, known }: Pick<TagMove, 'expect' | 'base' | 'known'> = {},
  ): Promise<void> {
    const { metadata, locks, outbox } = this.#deps;
    await locks.run(`repository ${repository}`, async () => {
      const from = await metadata.tag(repository, tag);
      mustBe(repository, tag, expect, from);
      await mustBeKnown(metadata, repository, tag, known);
      // If its absence is expected (`null`), a missing tag is not an error.
      if (from === undefined && expect === undefined)
        throw await manifestUnknown(this.#deps, repository, tag);
      const facts = from !== undefined && { repository, tag, from, ...(base && { arrived: true }) };
      const prepared = facts ? outbox.prepare(tagDeleted, facts) : undefined;
      await metadata.write([
        ...(prepared ? [...drop.tag(repository, tag), ...prepared.changes] : []),
        ...(base ? drop.base(repository, tag) : []),
      ]);
      prepared?.publish();
    });
  }

  async list(repository: string, { after, limit }: ListQuery): Promise<{ tags: TagEntry[]; more: boolean }> {
    const { metadata } = this.#deps;
    const [entries, more] = await page(metadata.tagsOfRepository(repository, after), limit);
    if (entries.length === 0 && !(await metadata.repository(repository))) throw nameUnknown(repository);
    return { tags: entries.map(([tag, digest]) => ({ tag, digest })), more };
  }

  async listBases(
    repository: string,
    { after, limit }: ListQuery,
  ): Promise<{ tags: TagEntry[]; more: boolean }> {
    const [entries, more] = await page(this.#deps.metadata.basesOfRepository(repository, after), limit);
    return { tags: entries.map(([tag, digest]) => ({ tag, digest })), more };
  }

  async listDiffering({ after, limit }: ListQuery): Promise<{ repositories: string[]; more: boolean }> {
    const [repositories, more] = await page(repositoriesDifferingFromBase(this.#deps.metadata, after), limit);
    return { repositories, more };
  }

  async setBases(repository: string, bases: AgreedTag[]): Promise<void> {
    const { metadata, locks } = this.#deps;
    await locks.run(`repository ${repository}`, async () => {
      const changes: Change[] = [];
      for (const { tag, digest, known } of bases) {
        if (!(await isKnown(metadata, repository, tag, known))) continue;
        if (digest === null) changes.push(...drop.base(repository, tag));
        else changes.push(...put.base(repository, tag, digest));
      }
      await metadata.write(changes);
    });
  }

  async listRepositories({ after, limit }: ListQuery): Promise<{ repositories: string[]; more: boolean }> {
    const [entries, more] = await page(this.#deps.metadata.repositories(after), limit);
    return { repositories: entries.map(([name]) => name), more };
  }
}

function mustBe(repository: string, tag: string, expect: Expect, actual: string | undefined): void {
  if (expect === undefined || (expect ?? undefined) === actual) return;
  const word = (digest: string | null | undefined) => digest ?? 'nothing';
  throw new Fault(
    'conflict',
    `tag ${tag} of repository ${repository} points to ${word(actual)}, not to ${word(expect)}: read the tag again, then retry`,
    { detail: { found: actual ?? null } },
  );
}

export async function manifestUnknown(
  { metadata }: { metadata: MetadataReader },
  repository: string,
  reference: string,
): Promise<Fault> {
  if (!(await metadata.repository(repository))) return nameUnknown(repository);
  const digest = reference.includes(':');
  const leftOut = digest ? await leftOutEntry(metadata, repository, reference) : undefined;
  return new Fault(
    'manifest-unknown',
    `repository ${repository} has no ${digest ? 'manifest' : 'tag'} ${reference}${
      leftOut ? `: ${whyLeftOut(leftOut)}` : ''
    }`,
    { detail: { reference, ...(leftOut && detailOf(leftOut)) } },
  );
}

const whyLeftOut = ({ platform, unavailable }: LeftOutManifest): string =>
  unavailable
    ? `the parent of this layer does not provide it (${platform})`
    : `the platforms of this repository exclude ${platform}`;

const detailOf = ({ platform, unavailable }: LeftOutManifest) => ({
  leftOut: platform,
  ...(unavailable && { unavailable }),
});

function nameUnknown(repository: string): Fault {
  return new Fault('name-unknown', `repository ${repository} is not known here`, { detail: { repository } });
}
