import { rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { each } from '#proto/async/each.ts';
import { startCloud } from '../../test/support/registry/cloud.ts';
import { emulationFailure } from '../link/emulated-link.ts';
import { aligned } from './aligned.ts';
import { bytesOf, changedLayers, pairsIn, repositoryOf } from './pairs.ts';
import { peers } from './peers/peers.ts';
import { goalsOf, measuredOf, shareOf, type Update, updateRows } from './shares.ts';
import { runUpdate } from './update-runs.ts';

/*
 * Brings the updates of a folder (make.ts) over a link that is counted, by Terrace and by its peers: bytes over the
 * link, in percent of the layers that changed, and seconds. Each update has its own process and its own registries
 * (one-update.ts).
 */

const DEFAULT = ['terrace', 'skopeo', 'podman'];

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('must be an integer of at least 1');
  return value;
}

const program = new Command('run')
  .description('measures updates over a link')
  .argument('<folder>', 'the folder of make.ts')
  .option('--kind <kind...>', 'only these kinds')
  .option('--builder <builder...>', 'only these builders')
  .option('--peer <peer...>', `of ${peers.map(({ name }) => name).join(', ')}`, DEFAULT)
  .option('--rounds <n>', 'rounds of each update, of which the table has the median', count, 1)
  .option('--at-once <n>', 'updates at once, where bytes matter and times do not', count, 1)
  .option('--max-minutes <n>', 'time for one update', count, 20)
  .option('--mbit <n>', 'over an emulated link of this rate', Number)
  .option('--delay <ms>', 'of each direction of that link, in ms', Number, 0)
  .option('--loss <percent>', 'of each direction of that link, in percent', Number, 0)
  .option('--json <file>', 'also writes all figures to a file, after each update')
  .parse();
const folder = resolve(program.args[0]!);
const { kind, builder, peer, rounds, atOnce, maxMinutes, mbit, delay, loss, json } = program.opts<{
  kind?: string[];
  builder?: string[];
  peer: string[];
  rounds: number;
  atOnce: number;
  maxMinutes: number;
  mbit?: number;
  delay: number;
  loss: number;
  json?: string;
}>();
const unknown = peer.filter((name) => !peers.some((each) => each.name === name));
if (unknown.length > 0) program.error(`run: there is no peer ${unknown.join(', ')}`);
const limits = mbit === undefined ? undefined : { mbit, delayMs: delay, lossPercent: loss };
const failure = limits && emulationFailure();
if (failure) program.error(`run: a link can't be emulated: ${failure}`);

const isChosen = (name: string, chosen: string[] | undefined) => !chosen || chosen.includes(name);
const pairs = await pairsIn(
  join(folder, 'pairs'),
  (name) => isChosen(name.kind, kind) && isChosen(name.builder, builder),
);
if (pairs.length === 0) program.error(`run: ${folder} has no such pair: run make.ts with this folder first`);
const chosen = peers.filter(({ name }) => peer.includes(name));
const updates: Update[] = pairs.map((pair) => ({ pair, rounds: {} }));
const orders = updates.flatMap((update) =>
  Array.from({ length: rounds }, (_, round) =>
    // Each round begins with another peer.
    chosen.map((_, turn) => ({ update, peer: chosen[(turn + round) % chosen.length]! })),
  )
    .flat()
    .filter((order) => order.peer.takes(update.pair)),
);

const started = performance.now();
let done = 0;
let isSaving = Promise.resolve();
{
  await using source = await startCloud({ folder: join(folder, 'registry') });
  await each(orders, atOnce, async ({ update, peer: { name } }) => {
    const { pair } = update;
    const label = `${repositoryOf(pair)}, ${name}`;
    const order = { folder, source: source.host, kind: pair.kind, builder: pair.builder, peer: name, limits };
    try {
      const measured = await runUpdate(order, maxMinutes * 60_000);
      update.rounds[name] = [...(update.rounds[name] ?? []), measured];
    } catch (error) {
      process.exitCode = 1;
      console.error(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${label}: ${(error as Error).message}`);
    }
    done += 1;
    if (process.stderr.isTTY)
      process.stderr.write(`\r\x1b[K${done} of ${orders.length} updates; last ${label}`);
    if (json) isSaving = isSaving.then(() => save(json));
  });
  await isSaving;
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
console.log(
  aligned(
    updateRows(
      updates,
      chosen.map(({ name }) => name),
    ),
    2,
  ),
);
for (const line of goalsOf(updates, 'terrace')) console.log(line);
const link = limits ? `a link of ${mbit} Mbit/s and ${2 * delay} ms` : 'loopback';
const minutes = ((performance.now() - started) / 60_000).toFixed(1);
console.log(`${orders.length} updates over ${link}, ${atOnce} at once, in ${minutes} min`);
process.exit();

/** Figures so far, complete at each moment: a run takes long. */
async function save(file: string): Promise<void> {
  await writeFile(`${file}.part`, `${JSON.stringify(updates.map(figuresOf), null, 2)}\n`);
  await rename(`${file}.part`, file);
}

function figuresOf(update: Update): object {
  const { pair, rounds } = update;
  const names = Object.keys(rounds);
  return {
    kind: pair.kind,
    builder: pair.builder,
    changedBytes: bytesOf(changedLayers(pair)),
    shares: Object.fromEntries(names.map((name) => [name, shareOf(update, name)])),
    measured: Object.fromEntries(names.map((name) => [name, measuredOf(update, name)])),
    rounds,
  };
}
