import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import { METADATA, REPAIRS } from '#proto/volume/layout.ts';
import type { RepairHint } from '#proto/volume/repair-request.ts';
import { BlobStore } from '../content/blob-store.ts';
import { bootId } from '../metadata/boot.ts';
import { set } from '../metadata/changes.ts';
import { isFree, lookAt } from '../metadata/database.ts';
import { keys, kinds, prefix } from '../metadata/keys.ts';
import { VERSION } from '../metadata/metadata.ts';
import { beginAnew } from './begin-anew.ts';
import { checkAccounts } from './check-accounts.ts';
import { checkBlobs } from './check-blobs.ts';
import { checkManifests } from './check-manifests.ts';
import { checkRecords } from './check-records.ts';
import { checkTags } from './check-tags.ts';
import { type Read, readAt } from './copy.ts';
import { announced, effective, type Hints, hintsIn, inOrder, lossOf } from './hints.ts';
import {
  demandUnchanged,
  finishCutOff,
  makePlace,
  rebuiltIn,
  stateOf,
  syncPlace,
  takePlace,
} from './place.ts';
import { Records } from './records.ts';
import { emptyReport, type Report, say, textOf } from './report.ts';
import { restoreManifests } from './restore-manifests.ts';
import { demandRoom } from './room.ts';
import { namesOf, salvage } from './salvage.ts';

export type RepairOptions = {
  /** The data volume, absolute. */
  data: string;
  /** What else tells of manifests and tags, oldest first. */
  hints: RepairHint[];
  /** The layer had no accounts. */
  open: boolean;
  /** Also where nothing is damaged. */
  force: boolean;
  /** Only says whether there is something to do. */
  look?: boolean | undefined;
  now: Date;
  /** Reads files of the metadata and manifests. */
  read?: Read | undefined;
};

export type Repaired =
  | { kind: 'damaged' }
  | { kind: 'whole' }
  | { kind: 'finished'; place: string }
  | { kind: 'done'; report: Report };

/**
 * Makes metadata anew of what can be read of the old ones and of what the content tells, and puts them in their place.
 * The old ones are not touched: cut off anywhere, a repair is made again, or gone on with.
 * @returns `whole` where nothing is damaged; `finished` where an earlier repair had been cut off at its end
 * @throws Fault `busy` where storage has the metadata open
 */
export async function repair(options: RepairOptions): Promise<Repaired> {
  const { data, force, look, now } = options;
  const folder = join(data, METADATA);
  if (!(await isFree(folder))) {
    throw new Fault('busy', `storage uses the metadata in ${data}: stop the layer first`);
  }
  const cutOff = await finishCutOff(data, folder);
  if (cutOff) return { kind: 'finished', place: cutOff };
  const { findings, missing } = await lookAt(folder, await bootId());
  if (findings.length === 0 && !missing && !force) return { kind: 'whole' };
  if (look) return { kind: 'damaged' };
  await demandRoom(data, folder, await namesOf(folder));
  const place = join(data, REPAIRS, now.toISOString().replace(/[:.]/g, '-'));
  await makePlace(data, place);
  let report: Report;
  try {
    const before = await stateOf(folder);
    report = await rebuild(options, folder, place, missing);
    await syncPlace(place);
    await demandUnchanged(folder, before);
  } catch (error) {
    // Nothing of the old metadata is in there yet.
    await rm(place, { recursive: true, force: true });
    throw error;
  }
  await takePlace(folder, place);
  return { kind: 'done', report };
}

async function rebuild(
  { data, hints, open, read = readAt }: RepairOptions,
  folder: string,
  place: string,
  missing: boolean,
): Promise<Report> {
  const rebuilt = rebuiltIn(place);
  const report = emptyReport(join(place, METADATA));
  const { damaged, findings: damage } = await salvage(folder, rebuilt, read);
  const store = new BlobStore(data);
  const told = damaged.map(({ entries, ...rest }) => ({
    ...rest,
    ...hintsIn(entries, (digest) => existsSync(store.file(digest))),
  }));
  report.damage = missing ? [{ file: METADATA, what: 'is missing' }] : damage;
  {
    await using records = await Records.open(rebuilt);
    await checkRecords(records, report);
    const all = effective(inOrder(told, hints, await announced(records)));
    const candidates = await checkBlobs(records, data, report);
    const deps = { records, store, report, read };
    await restoreManifests(deps, candidates, all);
    await checkManifests(deps);
    await checkTags(records, all, report);
    await checkAccounts(records, open, report);
    await beginAnew(records, report);
    for (const { finding, named, complete, doubtful } of told) {
      if (complete && !doubtful) continue;
      const some = named.length > 0 ? 'some of ' : '';
      const { file, what } = finding;
      say(report.lost, `records of ${file}, which ${what}: ${some}their names can not be read`);
    }
    const remnants = told.flatMap(({ named }) => named);
    for (const [key, remnant] of new Map(remnants.map((one) => [one.key, one]))) {
      const now = await records.get(key);
      const loss = isAsTold(key, now, all) ? undefined : lossOf(remnant, now);
      if (loss) say(report.lost, loss);
    }
    await records.sync([set(keys.version, VERSION)]);
  }
  await writeSynced(join(place, 'report.txt'), `${textOf(report)}\n`);
  return report;
}

/** A tag is where the last that is known of it says, whatever its own damaged record says. */
const isAsTold = (key: string, now: unknown, { tags }: Hints): boolean =>
  key.startsWith(prefix(kinds.tag)) && now !== undefined && tags.get(key.slice(2))?.at(-1) === now;

async function writeSynced(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600, flush: true });
}
