import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { startCloud } from '../../test/support/registry/cloud.ts';
import { TemporaryFolder } from '../temporary-folder.ts';
import { aligned } from './aligned.ts';
import { linkOpener } from './limited-link.ts';
import { bytesOf, changedLayers, pairsIn } from './pairs.ts';
import type { Peer } from './peers/peer.ts';
import { podmanPull } from './peers/podman.ts';
import { skopeoSync } from './peers/skopeo.ts';
import { terraceWith } from './peers/terrace.ts';
import { type Update, updateRows } from './shares.ts';

/*
 * Brings the updates of a folder (make.ts) over a link that is counted, by Terrace and by its peers: bytes over the
 * link, in percent of the layers that changed, and seconds.
 */

/** With deltas where they save bytes, where they save time, and without. */
const peers: readonly Peer[] = [
  terraceWith('terrace', 'always'),
  terraceWith('auto', 'auto'),
  terraceWith('plain', 'off'),
  skopeoSync,
  podmanPull,
];
const DEFAULT = ['terrace', 'skopeo', 'podman'];

const program = new Command('run')
  .description('measures updates over a link')
  .argument('<folder>', 'the folder of make.ts')
  .option('--kind <kind...>', 'only these kinds')
  .option('--builder <builder...>', 'only these builders')
  .option('--peer <peer...>', `of ${peers.map(({ name }) => name).join(', ')}`, DEFAULT)
  .option('--mbit <n>', 'over an emulated link of this rate', Number)
  .option('--delay <ms>', 'of each direction of that link, in ms', Number, 0)
  .option('--loss <percent>', 'of each direction of that link, in percent', Number, 0)
  .option('--json <file>', 'also writes all figures to a file')
  .parse();
const folder = resolve(program.args[0]!);
const { kind, builder, peer, mbit, delay, loss, json } = program.opts<{
  kind?: string[];
  builder?: string[];
  peer: string[];
  mbit?: number;
  delay: number;
  loss: number;
  json?: string;
}>();
const isChosen = (name: string, chosen: string[] | undefined) => !chosen || chosen.includes(name);

const pairs = (await pairsIn(join(folder, 'pairs'))).filter(
  (pair) => isChosen(pair.kind, kind) && isChosen(pair.builder, builder),
);
if (pairs.length === 0) program.error(`run: ${folder} has no such pair: run make.ts with this folder first`);
const chosen = peers.filter(({ name }) => peer.includes(name));
await using source = await startCloud({ folder: join(folder, 'registry') });

await using tools = await TemporaryFolder.create();
const openLink = linkOpener(
  tools.path,
  mbit === undefined ? undefined : { mbit, delayMs: delay, lossPercent: loss },
);

const updates: Update[] = [];
for (const pair of pairs) {
  const measured: Update['measured'] = {};
  for (const { name, takes, update } of chosen) {
    if (!takes(pair)) continue;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${pair.kind}/${pair.builder}: ${name}`);
    const place = await mkdtemp(join(folder, 'update-'));
    try {
      measured[name] = await update(source.host, pair, place, openLink);
    } catch (error) {
      console.error(`${pair.kind}/${pair.builder}, ${name}: ${(error as Error).message}`);
      process.exitCode = 1;
    } finally {
      await rm(place, { recursive: true, force: true, maxRetries: 10 });
    }
  }
  updates.push({ pair, measured });
  // After each pair: a run takes long.
  if (json) await writeFile(json, `${JSON.stringify(updates.map(figuresOf), null, 2)}\n`);
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
const names = chosen.map(({ name }) => name);
console.log(aligned(updateRows(updates, names), 2));

function figuresOf({ pair, measured }: Update): object {
  return {
    kind: pair.kind,
    builder: pair.builder,
    changedBytes: bytesOf(changedLayers(pair)),
    measured,
  };
}
