import type { StorageStatus } from '#proto/status/storage-status.ts';
import type { DeclaredAccounts } from './accounts/declared.ts';
import type { Audit } from './audit/audit.ts';
import type { Backups } from './backup/backups.ts';
import type { RestoredChanges } from './backup/restore/restored-report.ts';
import type { Ingests } from './content/ingests.ts';
import type { SpaceGuard } from './content/space-guard.ts';
import type { Deltas } from './deltas/deltas.ts';
import type { Exchanges } from './exchange/exchanges.ts';
import type { Scrubber } from './maintenance/scrub.ts';
import type { AgeClock } from './metadata/age-clock.ts';
import type { Metadata } from './metadata/metadata.ts';
import type { BehindTags } from './sync/behind-tags.ts';
import type { PauseStore } from './sync/pause-store.ts';
import type { Selection } from './sync/selection.ts';
import type { TagIndex } from './sync/tag-index.ts';
import type { UnselectedOutgoing } from './sync/unselected-outgoing.ts';
import type { AuditForwarding } from './syslog/audit-forwarding.ts';

/** Max ingests in a status: a reply must fit into one bus message. */
const MAX_INGESTS = 1_000;

/** The modules that a status is read from. */
export type StatusParts = {
  metadata: Metadata;
  space: SpaceGuard;
  selection: Selection;
  age: AgeClock;
  ingests: Ingests;
  behind: BehindTags;
  scrubber: Scrubber;
  declared: DeclaredAccounts;
  audit: Audit;
  pause: PauseStore;
  forwarding: AuditForwarding;
  unselected: UnselectedOutgoing;
  tagIndex: TagIndex;
  backups: Backups;
  restored: RestoredChanges;
  exchanges: Exchanges;
  deltas: Deltas;
};

/** What storage answers for the status of the layer: counters, and nothing that walks the content. */
export async function statusOf(parts: StatusParts): Promise<StorageStatus> {
  const { metadata, space, age, behind, scrubber, declared, audit, pause } = parts;
  const ingests = await parts.ingests.list(MAX_INGESTS);
  const { repositories, tags, blobs, bytes, damaged, tokens, scopeMaps, conflicts, uncompared } =
    metadata.counters;
  const forwarding = parts.forwarding.status();
  const backup = parts.backups.status;
  const restored = await parts.restored.shown();
  const { status: exchanges } = parts.exchanges;
  const { counts: deltas } = parts.deltas;
  return {
    ...{ repositories, tags, blobs, bytes, damaged, tokens, scopeMaps, conflicts },
    behind: await behind.figure(),
    ...(uncompared > 0 && { uncompared }),
    ...(scrubber.damage.length > 0 && { metadata: scrubber.damage }),
    ...((await metadata.closed()) && { closed: true }),
    ...(declared.complaints.length > 0 && { accounts: declared.complaints }),
    space: await space.current(),
    ...(audit.lost && { audit: audit.lost }),
    ...(pause.current && { paused: pause.current }),
    ...(forwarding && { forwarding }),
    ...(deltas && { deltas }),
    ...(backup && { backup }),
    ...(scrubber.progress && { scrub: scrubber.progress }),
    ...(restored && { restored }),
    ...(exchanges && { exchanges }),
    outgoing: await outgoingOf(parts),
    ingests: ingests.map(({ id, holder, record: { purpose, digest, size, touched, account } }) => ({
      id,
      purpose,
      touched: age.wallOf(touched),
      ...(digest !== undefined && { digest }),
      ...(size !== undefined && { size }),
      ...(account !== undefined && { account }),
      ...(holder !== undefined && { holder }),
    })),
  };
}

async function outgoingOf(parts: StatusParts): Promise<StorageStatus['outgoing']> {
  if (!parts.selection.pushes) return { unsent: 0, withdrawn: 0, parked: 0 };
  const unselected = await parts.unselected.count();
  const changed = changedTags(parts);
  const { unsent, withdrawn, parked } = parts.metadata.counters;
  return {
    unsent: Math.max(0, unsent - unselected.unsent),
    withdrawn: Math.max(0, withdrawn - unselected.withdrawn),
    parked,
    ...(changed !== undefined && { tags: changed }),
    ...(unselected.unsent > 0 && { kept: unselected.unsent, keptIn: unselected.repositories }),
  };
}

/** Tags that are to be pushed. Undefined for a layer without a parent, and until they are counted. */
function changedTags({ selection, tagIndex }: StatusParts): number | undefined {
  const changed = selection.patterns && tagIndex.changedNow;
  if (!changed) return undefined;
  let count = 0;
  for (const [repository, tags] of changed) if (selection.covers(repository)) count += tags.size;
  return count;
}
