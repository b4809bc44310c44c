import type { Static } from '@sinclair/typebox';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault, MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import type { beginSending, Parked, Pending, SendingTag, settleOutgoing } from '#proto/sync/outgoing.ts';
import { traceField } from '#proto/tracing/traced.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { type Change, drop, put } from '../metadata/metadata.ts';
import { type ListQuery, page } from '../metadata/page.ts';
import type { UnsentRecord } from '../metadata/records.ts';
import { mustBeKnown } from './known-tag.ts';
import { changeParent, type ParentRecord } from './parent-record.ts';

/*
 * State of synchronization: outgoing changes, and positions in other layers' changes.
 *
 *   outgoing.ts              changes to send to the parent: unsent, withdrawn and parked manifests, upload sessions
 *   known-tag.ts             whether a tag is still as a pass knows it
 *   selection.ts             which repositories are exchanged with the parent
 *   unselected-outgoing.ts   changes that no selection covers
 *   behind-tags.ts          changes of the parent that are not here yet
 *   tag-index.ts             which tags differ from their base, and counts of tags
 *   sync-overview.ts         how each repository and tag stands against the parent (in-order.ts merges the lists)
 *   parent-record.ts         the parent that bases and outgoing changes belong to
 *   parent-cursor.ts         this layer's cursor in the parent's journal
 *   marks.ts                 reported state of the parent's repositories, so that a pass skips unchanged ones
 *   feed.ts                  the journal of changes for children
 *   webhooks.ts              delivery position of each webhook
 *
 * A manifest that a client puts is unsent until a pass has sent it. One that a client deletes and that the parent may
 * have is withdrawn until a pass has settled it. What a pass moves or deletes of tags at the parent is on record until
 * its base is: after a kill in between, the next pass knows the parent's tag as the layer's own doing. A change that
 * the parent refuses is parked.
 */

type OutgoingDeps = {
  metadata: Metadata;
  locks: KeyedLock;
  now: () => number;
};

type BeginSending = Static<typeof beginSending.query>;

/** An upload at the parent, see `storeSession` in `proto/sync/outgoing.ts`. */
type Session = { location: string; offset?: number };

/** Changes to send to the parent, and the progress of sending them. Faults: see `proto/sync/outgoing.ts`. */
export class Outgoing {
  readonly #deps: OutgoingDeps;

  constructor(deps: OutgoingDeps) {
    this.#deps = deps;
  }

  /**
   * For the batch that puts a manifest; the caller holds the repository's lock. A manifest that exists already is
   * unsent, or the parent has it.
   */
  async put(
    repository: string,
    digest: string,
    state: { here: boolean; arrived: boolean },
  ): Promise<Change[]> {
    const { metadata, now } = this.#deps;
    if (state.arrived) return [...drop.unsent(repository, digest), ...drop.withdrawn(repository, digest)];
    if (state.here) return [];
    const again = (await metadata.withdrawn(repository, digest)) !== undefined;
    const record = { since: metadata.instant(now()), ...(again && { again }), ...traceField() };
    return [...drop.withdrawn(repository, digest), ...put.unsent(repository, digest, record)];
  }

  /** The same for the batch that deletes a manifest. */
  async delete(repository: string, digest: string, arrived: boolean): Promise<Change[]> {
    const { metadata, now } = this.#deps;
    const unsent = await metadata.unsent(repository, digest);
    const atParent = !unsent || unsent.again || unsent.found;
    return [
      ...drop.unsent(repository, digest),
      ...(arrived || !atParent
        ? drop.withdrawn(repository, digest)
        : put.withdrawn(repository, digest, { since: metadata.instant(now()) })),
    ];
  }

  async listUnsent({ after, limit }: ListQuery): Promise<{ manifests: Pending[]; more: boolean }> {
    const [entries, more] = await page(this.#deps.metadata.allUnsent(after), limit);
    return { manifests: entries.map(pendingOf), more };
  }

  async listWithdrawn({ after, limit }: ListQuery): Promise<{ manifests: Pending[]; more: boolean }> {
    const [entries, more] = await page(this.#deps.metadata.allWithdrawn(after), limit);
    return { manifests: entries.map(pendingOf), more };
  }

  async beginSending({ repository, digests, move }: BeginSending): Promise<void> {
    const { metadata, locks } = this.#deps;
    await locks.run(`repository ${repository}`, async () => {
      const here = await metadata.manifestsByDigest(repository, digests);
      const changes: Change[] = [];
      for (const [i, digest] of digests.entries()) {
        if (!here[i])
          throw new Fault('manifest-unknown', `${digest} of ${repository} was deleted here: it is not sent`);
        const unsent = await metadata.unsent(repository, digest);
        if (unsent && !unsent.again)
          changes.push(...put.unsent(repository, digest, { ...unsent, again: true }));
      }
      if (move) {
        const { tag, base, digest, known } = move;
        await mustBeKnown(metadata, repository, tag, known);
        if (base === null) changes.push(...drop.base(repository, tag));
        else changes.push(...put.base(repository, tag, base));
        changes.push(...put.sending(repository, tag, { digest }));
      }
      await metadata.write(changes);
    });
  }

  async listSending({ after, limit }: ListQuery): Promise<{ tags: SendingTag[]; more: boolean }> {
    const [entries, more] = await page(this.#deps.metadata.allSending(after), limit);
    return {
      tags: entries.map(([key, { digest }]) => {
        const [repository, tag] = key.split('!') as [string, string];
        return { repository, tag, digest };
      }),
      more,
    };
  }

  async dropSending(tags: SendingTag[]): Promise<void> {
    const { metadata, locks } = this.#deps;
    for (const [repository, ofRepository] of Map.groupBy(tags, (one) => one.repository)) {
      await locks.run(`repository ${repository}`, async () => {
        const changes: Change[] = [];
        for (const { tag, digest } of ofRepository) {
          const record = await metadata.sending(repository, tag);
          if (record?.digest === digest) changes.push(...drop.sending(repository, tag));
        }
        await metadata.write(changes);
      });
    }
  }

  async settle(query: Static<typeof settleOutgoing.query>): Promise<void> {
    const { repository, digests, until = Number.POSITIVE_INFINITY, sent = false } = query;
    const { metadata, locks, now } = this.#deps;
    await locks.run(`repository ${repository}`, async () => {
      const here = sent ? await metadata.manifestsByDigest(repository, digests) : [];
      const changes: Change[] = [];
      for (const [i, digest] of digests.entries()) {
        const unsent = await metadata.unsent(repository, digest);
        const withdrawn = await metadata.withdrawn(repository, digest);
        if (unsent && unsent.since <= until) changes.push(...drop.unsent(repository, digest));
        if (sent && !here[i] && !withdrawn) {
          changes.push(...put.withdrawn(repository, digest, { since: metadata.instant(now()) }));
        }
        // If the manifest was just sent, the parent has it, and the withdrawal is still pending.
        if (!sent && withdrawn && withdrawn.since <= until)
          changes.push(...drop.withdrawn(repository, digest));
      }
      await metadata.write(changes);
    });
  }

  async recordParent(met: ParentRecord): Promise<{ forgotten: boolean }> {
    return { forgotten: await changeParent(this.#deps, met) };
  }

  async park({ repository, reference, ...record }: Parked): Promise<void> {
    const { metadata, locks } = this.#deps;
    await locks.run(`repository ${repository}`, () =>
      metadata.write(put.parked(repository, reference, record)),
    );
  }

  async unpark(repository: string, reference: string): Promise<void> {
    const { metadata, locks } = this.#deps;
    await locks.run(`repository ${repository}`, () => metadata.write(drop.parked(repository, reference)));
  }

  async listParked({ after, limit }: ListQuery): Promise<{ parked: Parked[]; more: boolean }> {
    const parked = this.#deps.metadata.allParked(after);
    const [entries, more] = await page(parked, limit, (entry) => JSON.stringify(entry).length);
    return {
      parked: entries.map(([key, record]) => {
        const [repository, reference] = key.split('!') as [string, string];
        // An earlier version stored reasons of any length.
        return { repository, reference, ...record, reason: clip(record.reason, MAX_REASON_LENGTH) };
      }),
      more,
    };
  }

  async storeSession(repository: string, digest: string, { location, offset }: Session): Promise<void> {
    // As a fragment: a version that stores the location alone reads it as one.
    const session = offset === undefined ? location : `${location}#${offset}`;
    await this.#deps.metadata.writeUnsynced(put.session(repository, digest, session));
  }

  async session(repository: string, digest: string): Promise<Partial<Session>> {
    const session = await this.#deps.metadata.session(repository, digest);
    if (session === undefined) return {};
    const [, location = session, offset] = /^(.*)#(\d{1,15})$/s.exec(session) ?? [];
    return { location, ...(offset !== undefined && { offset: Number(offset) }) };
  }

  async dropSession(repository: string, digest: string): Promise<void> {
    await this.#deps.metadata.writeUnsynced(drop.session(repository, digest));
  }
}

function pendingOf([key, { since, found, traceparent }]: [key: string, record: UnsentRecord]): Pending {
  const [repository, digest] = key.split('!') as [string, string];
  return {
    ...{ repository, digest, since },
    ...(found && { unknownOrigin: found }),
    ...(traceparent && { traceparent }),
  };
}
