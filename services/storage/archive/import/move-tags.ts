import { archiveConflict, type ImportedTags } from '#proto/archive/archives.ts';
import type { ArchiveList, ListedTag } from '#proto/archive/list.ts';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { tagDeleted } from '#proto/content/content-events.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Static } from '#proto/contract/schema.ts';
import type { ConflictPolicy } from '#proto/document/selection.ts';
import { loserTag } from '#proto/sync/conflict-tag.ts';
import {
  type ImportRules,
  inEpochs,
  inNewEpoch,
  mayForget,
  mirrored,
  planTagImport,
  stampTag,
  type TagRecord,
} from '#proto/sync/tag-versions.ts';
import type { EventOutbox } from '../../history/event-outbox.ts';
import { type Change, drop, type Metadata, put } from '../../metadata/metadata.ts';
import type { PeerRecord } from '../../metadata/records.ts';
import type { Tags } from '../../repositories/tags.ts';
import { nextNumber } from '../book/peer-book.ts';
import { putVersion, recordedTags } from '../book/tag-stamps.ts';

export type MoveDeps = {
  metadata: Metadata;
  locks: KeyedLock;
  outbox: EventOutbox;
  tags: Tags;
  publish: Bus['publish'];
  /** Name of this layer. */
  layer: string;
};

/** `arrived`: the sender is the parent, so what came from it is not pushed there. */
export type MoveRules = Omit<ImportRules, 'conflict' | 'archive'> & {
  arrived: boolean;
  /** By repository. */
  conflict: (repository: string) => ConflictPolicy;
};

type PeerAfter = (tags: Static<typeof ImportedTags>) => PeerRecord;

type Moved = { changes: Change[]; publish: (() => void)[]; counts: Static<typeof ImportedTags> };

/**
 * Decides about all tags of a list, and carries it out as one synced batch with the record of the import. Everything
 * that they point to is here.
 * @param peerAfter the record of the sender after the import, by the tags that it moved
 */
export async function moveTags(
  deps: MoveDeps,
  list: ArchiveList,
  { peerAfter, before, rules }: { peerAfter: PeerAfter; before: PeerRecord; rules: MoveRules },
): Promise<Static<typeof ImportedTags>> {
  const { metadata, locks } = deps;
  const sender = list.sender.layer;
  const names = list.repositories.map(({ name }) => name);
  return await holdingAll(locks, names, async () => {
    const recorded = await recordedTags(metadata, sender, ['*']);
    const moved: Moved = { changes: [], publish: [], counts: { moved: 0, deleted: 0, conflicts: 0 } };
    const epochs = {
      knowsThis: list.target.epoch === before.epoch,
      isNew: before.imported !== undefined && before.imported.epoch !== list.sender.epoch,
    };
    for (const { name, tags } of list.repositories) {
      const records = recorded.get(name) ?? new Map<string, TagRecord>();
      for (const tag of tags) {
        await moveTag(deps, moved, {
          name,
          tag,
          recorded: records.get(tag.tag),
          list,
          before,
          epochs,
          rules,
        });
        records.delete(tag.tag);
      }
    }
    for (const change of await unlisted(metadata, recorded, { list, before, epochs }))
      moved.changes.push(change);
    await metadata.write([...moved.changes, ...put.peer(sender, peerAfter(moved.counts))]);
    for (const publish of moved.publish) publish();
    return moved.counts;
  });
}

type Epochs = {
  /** The sender has seen this epoch of this layer: its numbers of this layer count. */
  knowsThis: boolean;
  /** The sender has begun another epoch since its last set: it may have lost what it knew. */
  isNew: boolean;
};

type OneTag = {
  name: string;
  tag: ListedTag;
  recorded: TagRecord | undefined;
  list: ArchiveList;
  before: PeerRecord;
  epochs: Epochs;
  rules: MoveRules;
};

async function moveTag(
  deps: MoveDeps,
  moved: Moved,
  { name, tag: { tag, digest, mine, theirs }, recorded, list, before, epochs, rules }: OneTag,
): Promise<void> {
  const { metadata, publish, layer } = deps;
  const sender = list.sender.layer;
  const current = await metadata.tag(name, tag);
  const stamped = stampTag(recorded, current, nextNumber(before));
  const archive = nextNumber(before);
  const local = stamped && (epochs.isNew ? inNewEpoch(stamped, archive) : stamped);
  const version = inEpochs(mirrored({ mine, theirs }), { mine: epochs.knowsThis, theirs: true });
  const received: TagRecord = { digest: digest ?? undefined, version };
  const { action, record } = planTagImport(local, received, {
    ...rules,
    conflict: rules.conflict(name),
    archive,
  });
  if (action) {
    const loser = action.loser;
    const target = { repository: name, tag, to: action.digest, from: current, arrived: rules.arrived };
    await changeTag(deps, moved, target);
    if (loser !== undefined) {
      // The side that had the loser is named: this layer if the set won.
      const owner = action.digest === received.digest ? layer : sender;
      const kept = loserTag(tag, owner, loser);
      const from = await metadata.tag(name, kept);
      await changeTag(deps, moved, { repository: name, tag: kept, to: loser, from, arrived: false });
      const winner = action.digest as string;
      const facts = { sender, repository: name, tag, winner, loser, loserTag: kept };
      moved.publish.push(() => publish(archiveConflict, facts));
      moved.counts.conflicts += 1;
    }
  }
  const isForgotten =
    record && mayForget(record, epochs.knowsThis ? (list.target.imported ?? 0) : 0, received);
  for (const change of putVersion(sender, name, tag, isForgotten ? undefined : record)) {
    moved.changes.push(change);
  }
}

type TagChange = {
  repository: string;
  tag: string;
  to: string | undefined;
  from: string | undefined;
  arrived: boolean;
};

async function changeTag(
  { metadata, outbox, tags }: MoveDeps,
  moved: Moved,
  { repository, tag, to, from, arrived }: TagChange,
): Promise<void> {
  if (to === from) return;
  const origin = arrived ? { arrived } : {};
  const prepared =
    to === undefined
      ? outbox.prepare(tagDeleted, { repository, tag, from: from as string, ...origin })
      : await tags.move(repository, {
          tag,
          digest: to,
          mediaType: await mediaTypeOf(metadata, repository, to),
          ...origin,
        });
  const own = to === undefined ? drop.tag(repository, tag) : [];
  for (const change of [...own, ...prepared.changes]) moved.changes.push(change);
  moved.publish.push(prepared.publish);
  moved.counts[to === undefined ? 'deleted' : 'moved'] += 1;
}

/** @throws Fault `conflict` if the manifest is not in the repository: a tag must never point to nothing */
async function mediaTypeOf(metadata: Metadata, repository: string, digest: string): Promise<string> {
  const record = await metadata.manifest(repository, digest);
  if (record) return record.mediaType;
  throw new Fault(
    'conflict',
    `manifest ${digest} of repository ${repository} was deleted while the set was imported: import it again`,
  );
}

/**
 * Records of tags that the list does not have: deletions that both sides know are forgotten; of another epoch of the
 * sender, its numbers count for nothing.
 */
async function unlisted(
  metadata: Metadata,
  recorded: ReadonlyMap<string, ReadonlyMap<string, TagRecord>>,
  { list, before, epochs }: { list: ArchiveList; before: PeerRecord; epochs: Epochs },
): Promise<Change[]> {
  const acknowledged = epochs.knowsThis ? (list.target.imported ?? 0) : 0;
  const changes: Change[] = [];
  for (const [repository, tags] of recorded) {
    for (const [tag, known] of tags) {
      const record = stampTag(known, await metadata.tag(repository, tag), nextNumber(before)) ?? known;
      const isForgotten = mayForget(record, acknowledged, undefined);
      const current = epochs.isNew ? inNewEpoch(record, nextNumber(before)) : record;
      const next = isForgotten ? undefined : current;
      for (const change of putVersion(list.sender.layer, repository, tag, next)) changes.push(change);
    }
  }
  return changes;
}

/** Runs `work` with the locks of all repositories. In one order, so that two callers never wait for each other. */
async function holdingAll<T>(
  locks: KeyedLock,
  repositories: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  const end = Promise.withResolvers<void>();
  const held: Promise<void>[] = [];
  try {
    for (const repository of [...new Set(repositories)].sort()) {
      const taken = Promise.withResolvers<void>();
      held.push(
        locks.run(`repository ${repository}`, () => {
          taken.resolve();
          return end.promise;
        }),
      );
      await taken.promise;
    }
    return await work();
  } finally {
    end.resolve();
    await Promise.all(held);
  }
}
