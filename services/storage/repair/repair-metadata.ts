import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import { METADATA, REPAIRS, repairFiles } from '#proto/volume/layout.ts';
import { METADATA_VERSION } from '#proto/volume/metadata-version.ts';
import type { RepairHint } from '#proto/volume/repair-request.ts';
import { BlobStore } from '../content/blob-store.ts';
import { set } from '../metadata/batch-changes.ts';
import { bootIdOrRandom } from '../metadata/boot.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import { examineMetadata, isFree } from '../metadata/open-level.ts';
import { checkAccounts } from './check-accounts.ts';
import { checkBlobs } from './check-blobs.ts';
import { checkManifests } from './check-manifests.ts';
import { checkRecords } from './check-records.ts';
import { checkTags } from './check-tags.ts';
import { type Read, readAt } from './copy.ts';
import { dropDeltas } from './drop-deltas.ts';
import { effective, type Hints, hintsIn, inOrder, outboxHints } from './hints.ts';
import { lossNotice } from './loss-notices.ts';
import { RebuiltRecords } from './rebuilt-records.ts';
import {
  createRepairFolder,
  finishInterrupted,
  rebuiltIn,
  replaceMetadata,
  requireUnchanged,
  stateOf,
  syncRepairFolder,
} from './repair-folder.ts';
import { addLine, emptyReport, type RepairReport, reportText } from './repair-report.ts';
import { requireSpace } from './required-space.ts';
import { resetSyncState } from './reset-sync-state.ts';
import { restoreManifests } from './restore-manifests.ts';
import { namesOf, salvage } from './salvage.ts';

/**
 * Repair of damaged metadata (`terrace repair`), in a process of its own (main.ts) while the layer is stopped.
 *
 *   1. salvage.ts copies the readable part of the old LevelDB and collects entries from damaged bytes (remnants.ts).
 *   2. check-records.ts deletes invalid records (record-rules.ts); check-blobs.ts compares records with blob files.
 *   3. restore-manifests.ts, check-manifests.ts and check-tags.ts restore the records that content and hints (hints.ts)
 *      confirm; check-accounts.ts closes a layer that may have lost its accounts.
 *   4. reset-sync-state.ts discards the state agreed with the parent, so that the layer compares everything with it
 *      again.
 *   5. repair-folder.ts replaces the old metadata, which is never changed, with the new; repair-report.ts and
 *      loss-notices.ts say what is lost.
 */

export type RepairOptions = {
  /** Absolute path of the data volume. */
  data: string;
  /** Hints at manifests and tags from other sources than the volume, oldest first. */
  hints: RepairHint[];
  /** The layer had no accounts. */
  open: boolean;
  /** Repairs even if nothing is damaged. */
  force: boolean;
  /** Only reports whether a repair is needed. */
  checkOnly?: boolean | undefined;
  now: Date;
  /** Reads the files of the metadata and of manifests. */
  read?: Read | undefined;
};

export type Repaired =
  | { kind: 'damaged' }
  | { kind: 'intact' }
  | { kind: 'finished'; folder: string }
  | { kind: 'done'; report: RepairReport };

/**
 * Rebuilds the metadata from its readable part and from content, and replaces it. The old metadata is not changed: an
 * interrupted repair is restarted, or finished if only the replacement was left.
 * @returns `intact` if nothing is damaged; `finished` if an earlier repair had been interrupted at its end
 * @throws Fault `busy` if storage has the metadata open, or used it during the repair
 * @throws Fault `no-space` if the volume might become full; `volume-unusable` if LevelDB's own repair failed
 */
export async function repairMetadata(options: RepairOptions): Promise<Repaired> {
  const { data, force, checkOnly, now } = options;
  const folder = join(data, METADATA);
  if (!(await isFree(folder))) {
    throw new Fault('busy', `storage uses the metadata in ${data}: stop the layer first`);
  }
  const cutOff = await finishInterrupted(data, folder);
  if (cutOff) return { kind: 'finished', folder: cutOff };
  const { findings, missing } = await examineMetadata(folder, await bootIdOrRandom());
  if (findings.length === 0 && !missing && !force) return { kind: 'intact' };
  if (checkOnly) return { kind: 'damaged' };
  await requireSpace(data, folder, await namesOf(folder));
  const repairFolder = join(data, REPAIRS, now.toISOString().replace(/[:.]/g, '-'));
  await createRepairFolder(data, repairFolder);
  let report: RepairReport;
  try {
    const before = await stateOf(folder);
    report = await rebuild(options, folder, repairFolder, missing);
    await syncRepairFolder(repairFolder);
    await requireUnchanged(folder, before);
  } catch (error) {
    // The old metadata has not been moved there yet.
    await rm(repairFolder, { recursive: true, force: true });
    throw error;
  }
  await replaceMetadata(folder, repairFolder);
  return { kind: 'done', report };
}

async function rebuild(
  { data, hints, open, read = readAt }: RepairOptions,
  folder: string,
  repairFolder: string,
  missing: boolean,
): Promise<RepairReport> {
  const rebuilt = rebuiltIn(repairFolder);
  const report = emptyReport(join(repairFolder, METADATA));
  const { damaged, findings: damage } = await salvage(folder, rebuilt, read);
  const store = new BlobStore(data);
  const damagedRanges = damaged.map(({ entries, ...rest }) => ({
    ...rest,
    ...hintsIn(entries, (digest) => existsSync(store.file(digest))),
  }));
  report.damage = missing ? [{ file: METADATA, what: 'is missing' }] : damage;
  {
    await using records = await RebuiltRecords.open(rebuilt);
    await dropDeltas(records, store);
    await checkRecords(records, report);
    const all = effective(inOrder(damagedRanges, hints, await outboxHints(records)));
    const candidates = await checkBlobs(records, data, report);
    const deps = { records, store, report, read };
    await restoreManifests(deps, candidates, all);
    await checkManifests(deps);
    await checkTags(records, all, report);
    await checkAccounts(records, open, report);
    await resetSyncState(records, report);
    for (const { finding, named, complete, unconfirmed } of damagedRanges) {
      if (complete && !unconfirmed) continue;
      const some = named.length > 0 ? 'some of ' : '';
      const { file, what } = finding;
      addLine(report.lost, `records of ${file}, which ${what}: ${some}their names cannot be read`);
    }
    const remnants = damagedRanges.flatMap(({ named }) => named);
    for (const [key, remnant] of new Map(remnants.map((each) => [each.key, each]))) {
      const current = await records.get(key);
      const loss = isAsHinted(key, current, all) ? undefined : lossNotice(remnant, current);
      if (loss) addLine(report.lost, loss);
    }
    // Storage counts the records when it opens metadata without stored counters.
    await records.clear(prefix(kinds.counters));
    await records.sync([set(keys.version, METADATA_VERSION)]);
  }
  await writeSynced(repairFiles(repairFolder).report, `${reportText(report)}\n`);
  return report;
}

/** Whether a tag points to the digest of its last hint. Its own damaged record does not count then. */
const isAsHinted = (key: string, current: unknown, { tags }: Hints): boolean =>
  key.startsWith(prefix(kinds.tag)) && current !== undefined && tags.get(key.slice(2))?.at(-1) === current;

async function writeSynced(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600, flush: true });
}
