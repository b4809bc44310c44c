import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { BLOBS, METADATA, METADATA_STATE, repairFiles } from '#proto/volume/layout.ts';
import type { RepairAnswer, RepairHint, RepairRequest } from '#proto/volume/repair-request.ts';
import { currentUser } from '../../data/current-user.ts';
import { type DataFolder, makeFolders } from '../../data/data-folder.ts';
import { dataOption } from '../../data/data-option.ts';
import { NODE_ENV, NODE_FLAGS } from '../../data/node.ts';
import { claimFolder } from '../../data/pid-file.ts';
import { stopOrphans } from '../../layer/nats-server.ts';
import { hintsOfEvents } from '../../layer/repair-hints.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';

const MAIN = join(import.meta.dirname, '../../../services/storage/repair/main.ts');

type Options = { data: string; open?: boolean; force?: boolean; json?: boolean };

export function addRepairCommand(program: Command): void {
  program
    .command('repair')
    .description(
      'rebuild damaged metadata as far as possible, and list what is lost; the old metadata are kept',
    )
    .addOption(dataOption())
    .option('--open', 'the layer had no accounts: if none is found, it is open on loopback again')
    .option('--force', 'rebuild the metadata even if no damage is found')
    .option('--json', 'as JSON')
    .action(async ({ data, open = false, force = false, json = false }: Options) => {
      const root = resolve(data);
      if (![METADATA, METADATA_STATE, BLOBS].some((name) => existsSync(join(root, name)))) {
        throw new Refusal(`${root} contains no data of a layer: name the data folder with --data`);
      }
      const folder = await makeFolders(root);
      const claim = claimFolder(folder);
      if ('held' in claim) {
        throw new Refusal(`a Terrace (process ${claim.held}) runs on ${root}: stop it first`);
      }
      using _claim = claim;
      await stopOrphans(folder);
      const request = { data: root, hints: [], open, force };
      const checked = await runRepairProcess({ ...request, checkOnly: true });
      if (checked.kind !== 'damaged') return report(checked, json);
      report(await runRepairProcess({ ...request, hints: await readHints(folder) }), json);
    });
}

/** Events supplement what the metadata may have lost; without them, only the content is left to repair from. */
async function readHints(folder: DataFolder): Promise<RepairHint[]> {
  try {
    return await hintsOfEvents(folder);
  } catch (error) {
    printError(
      `terrace: the events of the layer can't be read (${(error as Error).message}): repairing without them`,
    );
    return [];
  }
}

function report(answer: RepairAnswer, json: boolean): void {
  if (answer.kind === 'failed') throw new Refusal(answer.why);
  if (json) printJson(JSON.stringify(answer, null, 2));
  else if (answer.kind === 'done') print(answer.text);
  else if (answer.kind === 'intact') {
    print('The metadata are intact: nothing to repair (--force rebuilds them anyway).');
  } else if (answer.kind === 'finished') {
    print(`The interrupted repair is finished: ${repairFiles(answer.folder).report} lists what is lost.`);
  }
}

/** Runs in a separate process: only storage knows the metadata. */
async function runRepairProcess(request: RepairRequest): Promise<RepairAnswer> {
  const child = spawn(process.execPath, [...NODE_FLAGS, MAIN], {
    env: { ...process.env, ...NODE_ENV, TERRACE_PERSON: currentUser() },
    // The child ends when the IPC channel closes: this process holds the data folder.
    stdio: ['pipe', 'pipe', 'inherit', 'ipc'],
  });
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  child.stdin?.on('error', () => {});
  child.stdin?.end(JSON.stringify(request));
  const code = await new Promise((done) => child.on('close', (status, signal) => done(signal ?? status)));
  try {
    return JSON.parse(text) as RepairAnswer;
  } catch {
    return { kind: 'failed', why: `the repair exited with ${code}, and nothing was changed: run it again` };
  }
}
