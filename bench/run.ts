import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { arch, availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { canInstallDebian, installDebian } from '../cli/layer/debian.ts';
import { globalSetup } from '../test/support/prepare.ts';
import { cutThrough } from './cut-through.ts';
import { deltaKills } from './delta/kills.ts';
import { deltaMemory } from './delta/memory.ts';
import { deltaLayers } from './delta/through-layers.ts';
import { idle } from './idle.ts';
import { images } from './images.ts';
import { link } from './link.ts';
import { manifests } from './manifests.ts';
import { type Comparison, format, median, type Options, type Subject } from './measure.ts';
import { memory } from './memory.ts';
import { pull } from './pull.ts';
import { push } from './push.ts';
import { quiet } from './quiet.ts';
import { requests } from './requests.ts';
import { scale } from './scale.ts';
import { slowLink } from './slow-link.ts';
import { smallPushes } from './small-pushes.ts';
import { startUp } from './start-up.ts';
import { sync } from './sync.ts';
import { syncers } from './syncers.ts';
import { tags } from './tags.ts';
import { watched } from './watched.ts';

/*
 * Benchmarks: a layer beside docker-registry, nginx and skopeo on the same machine. docs/design/benchmarks.md has what
 * each subject measures, and the figures.
 *
 * This file runs the chosen subjects one after the other. A subject is a file that exports a `Subject`: it starts the
 * contenders and returns comparisons.
 *
 *   measure.ts                  rounds in turn, medians, the table of a comparison
 *   temporary-folder.ts         the folder of a subject
 *   curl.ts, load.ts            the clients: curl for blobs, wrk and ab for many requests
 *   link/                       an emulated link, and a registry beyond it
 *   delta/                      updates as deltas: through layers, with kills, memory
 *   watched/                    events, pulls and viewers for a layer whose page is open
 *   nginx.ts, slow-parent.ts    nginx over a folder, and a registry of one image that sends at a given rate
 *   resident.ts, cpu-seconds.ts memory and CPU time of processes; work-cost.ts: of one, during some work
 *   filled-volume.ts            a data volume with many small images
 *   updates/                    images before and after an update, and what crosses a link for it; with its own commands
 */

const subjects: Record<string, Subject> = {
  pull,
  push,
  manifests,
  requests,
  tags,
  'small-pushes': smallPushes,
  sync,
  images,
  syncers,
  idle,
  quiet,
  watched,
  'slow-link': slowLink,
  'cut-through': cutThrough,
  memory,
  'start-up': startUp,
  scale,
  link,
  'delta-layers': deltaLayers,
  'delta-kills': deltaKills,
  'delta-memory': deltaMemory,
};
/** Subjects that take long, or need root: they run where they are named. */
const onDemand = ['link', 'delta-layers', 'delta-kills', 'delta-memory'];

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('must be an integer of at least 1');
  return value;
}

const append = (text: string, before: number[] = []) => [...before, count(text)];

const program = new Command('bench')
  .description('compares a layer with docker-registry, nginx and skopeo on this machine')
  .argument(
    '[subjects...]',
    `of ${Object.keys(subjects).join(', ')}; all but ${onDemand} where none is named`,
  )
  .option('--rounds <n>', 'rounds of each comparison', count, 5)
  .option('--only <subject...>', 'the same as the arguments')
  .option('--mib <n...>', 'sizes of the blobs that are pulled and pushed (default: 1 100 1024)', append)
  .option('--small', 'a large image of 64 MiB instead of 1 GiB in the set that is synced')
  .option('--json <file>', 'also writes all figures to a file')
  .parse();
const { rounds, mib, only, small, json } = program.opts<{
  rounds: number;
  mib?: number[];
  only?: string[];
  small?: true;
  json?: string;
}>();
const named = [...program.args, ...(only ?? [])];
const chosen = named.length > 0 ? named : Object.keys(subjects).filter((name) => !onDemand.includes(name));
const unknown = chosen.find((name) => !(name in subjects));
if (unknown) program.error(`bench: there is no subject ${unknown}, only ${Object.keys(subjects).join(', ')}`);

// On a disk, unlike the folders of tests.
process.env.TMPDIR ??= tmpdir();
// The programs that the tests need, and the clients.
globalSetup();
const clients = Object.entries({ curl: 'curl', wrk: 'wrk', ab: 'apache2-utils' });
for (const [, name] of clients.filter(([client]) => !existsSync(`/usr/bin/${client}`))) {
  const failure = canInstallDebian() ? installDebian([name]) : 'not run as root';
  if (failure) program.error(`bench: apt-get install ${name} failed: ${failure}`);
}

const started = performance.now();
const progress = (line: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
};
const options: Options = { rounds, mib: mib ?? [1, 100, 1_024], full: !small, progress };
const machine = {
  processor: cpus()[0]?.model.trim(),
  cores: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  system: `Linux ${release()} ${arch()}`,
  node: process.version,
  data: tmpdir(),
};
console.log(
  Object.entries(machine)
    .map(([name, value]) => `${name} ${value}`)
    .join(', '),
);
console.log('medians of', rounds, 'alternating rounds, with the lowest and the highest; all over loopback\n');

const results: Comparison[] = [];
for (const name of chosen) {
  for (const comparison of await subjects[name]!(options)) {
    progress('');
    results.push(comparison);
    console.log(`${format(comparison)}\n`);
  }
}
console.log(`took ${((performance.now() - started) / 1_000).toFixed(0)} s`);
if (json) {
  const medians = results.map((result) => ({
    ...result,
    medians: Object.fromEntries(
      Object.entries(result.values).map(([name, rounds]) => [name, median(rounds)]),
    ),
  }));
  await writeFile(
    json,
    `${JSON.stringify({ machine, date: new Date().toISOString(), results: medians }, null, 2)}\n`,
  );
}
