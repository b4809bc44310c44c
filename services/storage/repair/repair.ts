import { cp, mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '#proto/fault.ts';
import type { RepairHint } from '#proto/repair.ts';
import { BlobStore } from '../blob-store.ts';
import { bootId } from '../boot.ts';
import { set } from '../changes.ts';
import { isFree, lookAt } from '../database.ts';
import { VERSION } from '../metadata.ts';
import { syncFolder, writeState } from '../metadata-state.ts';
import { beginAnew } from './begin-anew.ts';
import { checkAccounts } from './check-accounts.ts';
import { checkBlobs } from './check-blobs.ts';
import { checkManifests } from './check-manifests.ts';
import { checkRecords } from './check-records.ts';
import { checkTags } from './check-tags.ts';
import { announced, effective, hintsIn, lossOf } from './hints.ts';
import { Records } from './records.ts';
import { emptyReport, type Report, say, textOf } from './report.ts';
import { restoreManifests } from './restore-manifests.ts';
import { salvage } from './salvage.ts';

/*
 *   <data>/repair/<time>/metadata/    what was there before, as it was
 *   <data>/repair/<time>/report.txt   what is lost, and what was brought back
 *   <data>/repair/<time>/rebuilt/     the new metadata, until they take the place of the old ones
 */
const REBUILT = 'rebuilt';

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
export async function repair({ data, hints, open, force, look, now }: RepairOptions): Promise<Repaired> {
  const folder = join(data, 'metadata');
  if (!(await isFree(folder))) {
    throw new Fault('busy', `storage uses the metadata in ${data}: stop the layer first`);
  }
  const cutOff = await finishCutOff(data, folder);
  if (cutOff) return { kind: 'finished', place: cutOff };
  const { findings, missing } = await lookAt(folder, await bootId());
  if (findings.length === 0 && !missing && !force) return { kind: 'whole' };
  if (look) return { kind: 'damaged' };
  const place = join(data, 'repair', now.toISOString().replace(/[:.]/g, '-'));
  const rebuilt = join(place, REBUILT);
  await mkdir(place, { recursive: true, mode: 0o700 });
  const report = emptyReport(join(place, 'metadata'));
  const { remnants, unnamed, findings: damage } = await salvage(folder, rebuilt);
  report.damage = missing ? [{ file: 'metadata', what: 'is missing' }] : damage;
  {
    await using records = await Records.open(rebuilt);
    await checkRecords(records, report);
    // Older ones first: what was announced and is no event yet comes after all events.
    const all = effective([...hintsIn(remnants), ...hints, ...(await announced(records))]);
    const candidates = await checkBlobs(records, data, report);
    const means = { records, store: new BlobStore(data), report };
    await restoreManifests(means, candidates, all);
    await checkManifests(means);
    await checkTags(records, all, report);
    await checkAccounts(records, open, report);
    await beginAnew(records, report);
    for (const { file, what } of unnamed)
      say(report.lost, `records of ${file}, which ${what}: their names can not be read`);
    for (const [key, remnant] of new Map(remnants.map((one) => [one.key, one]))) {
      const loss = lossOf(remnant, await records.get(key));
      if (loss) say(report.lost, loss);
    }
    await records.sync([set('x!version', VERSION)]);
  }
  await writeSynced(join(place, 'report.txt'), `${textOf(report)}\n`);
  await takePlace(folder, place);
  return { kind: 'done', report };
}

/** Each step is on the disk before the next one. */
async function takePlace(folder: string, place: string): Promise<void> {
  await syncTree(join(place, REBUILT));
  await syncFolder(place);
  const old = join(place, 'metadata');
  if (await isThere(folder)) await rename(folder, old);
  else await mkdir(old);
  if (await isThere(`${folder}.json`)) await cp(`${folder}.json`, `${old}.json`);
  await syncFolder(place);
  await putInPlace(folder, place);
}

async function putInPlace(folder: string, place: string): Promise<void> {
  await writeState(folder, { boot: await bootId(), closed: true, made: true });
  await rename(join(place, REBUILT), folder);
  await syncFolder(join(folder, '..'));
}

/** The old metadata were taken out, and the new ones not put in. All else of a repair that was cut off is of no use. */
async function finishCutOff(data: string, folder: string): Promise<string | undefined> {
  const repairs = join(data, 'repair');
  let finished: string | undefined;
  for (const name of await readdir(repairs).catch(() => [] as string[])) {
    const place = join(repairs, name);
    if (!(await isThere(join(place, REBUILT)))) continue;
    const isComplete = await isThere(join(place, 'metadata'));
    if (isComplete && !finished && !(await isThere(folder))) {
      await putInPlace(folder, place);
      finished = place;
    } else await rm(isComplete ? join(place, REBUILT) : place, { recursive: true });
  }
  return finished;
}

async function syncTree(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    await using file = await open(join(folder, name), 'r');
    await file.sync();
  }
  await syncFolder(folder);
}

async function writeSynced(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600, flush: true });
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
