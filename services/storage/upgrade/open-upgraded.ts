import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '#proto/contract/log.ts';
import { METADATA } from '#proto/volume/layout.ts';
import { METADATA_VERSION } from '#proto/volume/metadata-version.ts';
import {
  copyBeforeUpgrade,
  finishRollback,
  isSameProgram,
  type LastProgram,
  lastProgram,
  type Program,
  unfinishedRollback,
  upgradeCopies,
  writeProgram,
} from '#proto/volume/upgrade-copies.ts';
import { Metadata } from '../metadata/metadata.ts';
import { whenFree } from '../metadata/open-level.ts';
import { applyRollback } from './apply-rollback.ts';

export type UpgradeDeps = { data: string; version: string; log: Log; now: () => number };

/** How long another process that stops may have the metadata open, in ms. */
const PATIENCE_MS = 10_000;

/**
 * Opens the metadata of a data volume. If another version of Terrace used them before, they are copied first, so that
 * `terrace rollback` can bring them back; after a rollback, they become those of a layer that was off since the copy.
 * @throws Fault `volume-unusable`
 */
export async function openUpgraded({ data, version, log, now }: UpgradeDeps): Promise<Metadata> {
  const folder = join(data, METADATA);
  const program: Program = { version, metadata: METADATA_VERSION };
  const from = await lastProgram(data);
  const isOther = !isSameProgram(from, program);
  if (isOther && existsSync(join(folder, 'CURRENT'))) await keepCopy({ data, log, now, last: from, program });
  let metadata = await Metadata.open(folder);
  try {
    const rollback = await unfinishedRollback(data);
    if (rollback) {
      await metadata[Symbol.asyncDispose]();
      await applyRollback(folder, rollback);
      metadata = await Metadata.open(folder);
      await finishRollback(data);
      log.info({ ...rollback, notice: true }, 'the metadata are those of before an upgrade');
    }
    if (isOther) await writeProgram(data, { ...program, since: now() });
  } catch (error) {
    await metadata[Symbol.asyncDispose]().catch(() => {});
    throw error;
  }
  return metadata;
}

type Keeping = Pick<UpgradeDeps, 'data' | 'log' | 'now'> & {
  last: LastProgram | undefined;
  program: Program;
};

/** A layer whose volume has no space for a copy starts all the same. */
async function keepCopy({ data, log, now, last, program }: Keeping): Promise<void> {
  const from = last && { version: last.version, metadata: last.metadata };
  // The opening refuses them: a copy would take the place of one that this version can use.
  if (from && from.metadata > program.metadata) return;
  const [copy] = await upgradeCopies(data);
  const rollback = await unfinishedRollback(data);
  const isOfThis =
    copy && isSameProgram(copy.to, program) && (from ? isSameProgram(copy.from, from) : !copy.from);
  // An earlier start of this version was interrupted: the metadata may be converted by now, and that copy is right.
  if (isOfThis && copy.at >= (last?.since ?? 0) && copy.at >= (rollback?.rolledBack ?? 0)) return;
  // Of a process that does not stop, the opening says so.
  if (!(await whenFree(join(data, METADATA), PATIENCE_MS))) return;
  try {
    const name = await copyBeforeUpgrade(data, { ...(from && { from }), to: program, at: now() });
    const fields = { copy: name, from: from?.version, to: program.version, notice: true };
    log.info(fields, 'metadata copied before the upgrade');
  } catch (err) {
    log.warn(
      { err },
      'metadata could not be copied before the upgrade: there is no way back without a backup',
    );
  }
}
