import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { METADATA, UPGRADES } from '#proto/volume/layout.ts';
import { METADATA_VERSION } from '#proto/volume/metadata-version.ts';
import { rollBack, type UpgradeCopy, upgradeCopies } from '#proto/volume/upgrade-copies.ts';
import { type DataFolder, makeFolders } from '../../data/data-folder.ts';
import { dataOption } from '../../data/data-option.ts';
import { claimFolder } from '../../data/pid-file.ts';
import { changesSince } from '../../layer/changes-since.ts';
import { stopOrphans } from '../../layer/nats-server.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { table } from '../../terminal/table.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';
import { type ClientChanges, copyRows, rollbackText } from '../../text/rollback-text.ts';

type Options = { data: string; list?: boolean; to?: string; json?: boolean };

export function addRollbackCommand(program: Command): void {
  program
    .command('rollback')
    .description(
      'bring back the metadata of before an upgrade, for an earlier version; the newer ones are kept',
    )
    .addOption(dataOption())
    .option('--list', 'list the copies, and change nothing')
    .option('--to <copy>', 'the copy to bring back (default: the last one that this version can read)')
    .option('--json', 'as JSON')
    .action(async ({ data, list, to, json }: Options) => {
      const root = resolve(data);
      const copies = await upgradeCopies(root);
      if (list) return listCopies(copies, json);
      const copy = to === undefined ? copies.find(isReadable) : copies.find(({ name }) => name === to);
      if (!copy) throw noCopy(root, copies, to);
      const folder = await makeFolders(root);
      const claim = claimFolder(folder);
      if ('held' in claim) {
        throw new Refusal(`a Terrace (process ${claim.held}) runs on ${root}: stop it first`);
      }
      using _claim = claim;
      await stopOrphans(folder);
      const changes = await readChanges(folder, copy);
      const replaced = join(root, await rollBack(root, copy, Date.now()));
      if (json) printJson(JSON.stringify({ copy, replaced, ...(changes && { lost: changes }) }, null, 2));
      else print(rollbackText(copy, replaced, changes));
    });
}

/** By this version of Terrace, which is the one to go back to, or a later one. */
const isReadable = ({ from }: UpgradeCopy): boolean => !from || from.metadata <= METADATA_VERSION;

function listCopies(copies: UpgradeCopy[], json = false): void {
  if (json) printJson(JSON.stringify({ copies }, null, 2));
  else if (copies.length === 0)
    print('No copies: the metadata were made by this version, or nothing was upgraded.');
  else print(table([['COPY', 'MADE', 'FROM', 'BEFORE'], ...copyRows(copies)]));
}

function noCopy(root: string, copies: UpgradeCopy[], to: string | undefined): Refusal {
  if (!existsSync(join(root, METADATA)) && copies.length === 0) {
    return new Refusal(`${root} contains no data of a layer: name the data folder with --data`);
  }
  return to === undefined || copies.length === 0
    ? new Refusal(
        `${join(root, UPGRADES)} has no copy of the metadata: restore a backup (terrace restore), or use the version that wrote them`,
      )
    : new Refusal(`there is no copy "${to}": choose one of ${copies.map(({ name }) => name).join(', ')}`, 2);
}

/** Undefined, with a warning, if the events can't be read: the copy can be brought back all the same. */
async function readChanges(folder: DataFolder, { at }: UpgradeCopy): Promise<ClientChanges | undefined> {
  try {
    return await changesSince(folder, new Date(at));
  } catch (error) {
    printError(`terrace: the events of the layer can't be read (${(error as Error).message})`);
    return undefined;
  }
}
