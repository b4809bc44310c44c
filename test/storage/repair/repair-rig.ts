import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { listTags } from '#proto/content/manifests.ts';
import { type RepairOptions, repairMetadata } from '../../../services/storage/repair/repair-metadata.ts';
import type { RepairReport } from '../../../services/storage/repair/repair-report.ts';
import type { Rig } from '../rig.ts';

/** A repair of the metadata of a `Rig`, which is stopped, and what the tests of repairs look up in it. */

export const app = 'line/app';
export const now = new Date(Date.UTC(2030, 0, 1));

export async function repair(rig: Rig, more: Partial<RepairOptions> = {}): Promise<RepairReport> {
  const done = await repairMetadata({ data: rig.data, hints: [], open: false, force: false, now, ...more });
  assert.equal(done.kind, 'done');
  return (done as { report: RepairReport }).report;
}

/** The path of the file of the metadata with this ending and the highest number. */
export async function fileOf(rig: Rig, ending: string): Promise<string> {
  const folder = join(rig.data, 'metadata');
  const names = (await readdir(folder)).filter((name) => name.endsWith(ending)).sort();
  return join(folder, names.at(-1) as string);
}

export const tagsOf = async (rig: Rig, repository: string) =>
  (await rig.gateway.call(listTags, { repository, limit: 1_000 })).tags;
