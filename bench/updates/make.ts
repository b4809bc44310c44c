import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { Buildah } from './engines/buildah.ts';
import { Docker } from './engines/docker.ts';
import type { Engine } from './engines/engine.ts';
import { kinds } from './kinds/kinds.ts';
import { PairMaker } from './maker.ts';

/*
 * Makes pairs of images, before and after an update, with real builders. Needs root, and from Debian: buildah, podman,
 * skopeo, docker-registry, mmdebstrap, default-jdk-headless, golang-go, rustc, python3, npm, iptables. What is already
 * in the folder is not made again.
 *
 *   kinds/        what changes, and the files of both images
 *   engines/      what builds and pushes them
 *   sources/      files of packages; programs/: sources of own programs
 *   maker.ts      makes a pair: build, push, layout
 *   pairs.ts      the pairs of a folder, and the layers that changed
 *   table.ts      prints them
 *   peers/        how other programs bring an update; run.ts: how Terrace does
 *
 * The folder gets `registry/`, the content of a docker-registry with the repositories KIND/BUILDER, and of each image
 * an OCI layout, `pairs/KIND/BUILDER/v1` and `v2`, of which the files are links to those of the registry.
 */

/** Engines, by the builders that each is. */
const starts: Record<string, { builders: string[]; start: (folder: string) => Promise<Engine> }> = {
  buildah: {
    builders: ['buildah', 'podman-zstd-chunked', 'buildah-plain'],
    start: (folder) => Buildah.start(folder),
  },
  docker: { builders: ['docker'], start: (folder) => Docker.start(folder, 'docker') },
  'docker-28': { builders: ['docker-28'], start: (folder) => Docker.start(folder, 'docker-28') },
};
const builders = Object.values(starts).flatMap((engine) => engine.builders);

/** An image that another builder has made again: the same files, other layers. */
const REBUILT = { kind: 'builder-changed', from: 'node-modules', version: 'v2' } as const;
const REBUILT_BY = [
  ['buildah', 'docker'],
  ['docker', 'buildah'],
  ['docker', 'docker-28'],
] as const;

const program = new Command('make')
  .description('makes images before and after an update')
  .argument('<folder>', 'where they are put')
  .argument('[kinds...]', `of ${kinds.map(({ name }) => name).join(', ')}; all where none is named`)
  .option('--builder <builder...>', `of ${builders.join(', ')}; all where none is named`)
  .parse();
const folder = resolve(program.args[0]!);
const names = program.args.slice(1);
const { builder: chosen = builders } = program.opts<{ builder?: string[] }>();
const unknown = [
  ...names.filter((name) => name !== REBUILT.kind && !kinds.some((kind) => kind.name === name)),
  ...chosen.filter((name) => !builders.includes(name)),
];
if (unknown.length > 0) program.error(`make: there is no ${unknown.join(', ')}`);
if (process.getuid?.() !== 0) program.error('make: builders and mmdebstrap need root: run it as root');

const maker = new PairMaker(folder, (builder) => chosen.includes(builder));
let failures = 0;
await using running = new AsyncDisposableStack();
const engines: Engine[] = [];
for (const [name, { builders: own, start }] of Object.entries(starts)) {
  if (!own.some((builder) => chosen.includes(builder))) continue;
  const engine = running.use(await start(join(folder, 'engines', name)));
  await maker.makeBase(engine);
  engines.push(engine);
}
const wanted =
  names.length === 0 ? kinds : names.flatMap((name) => kinds.find((kind) => kind.name === name) ?? []);
for (const kind of wanted)
  for (const engine of engines) await report(kind.name, () => maker.makePairs(engine, kind));
if (names.length === 0 || names.includes(REBUILT.kind)) {
  for (const [before, after] of REBUILT_BY) {
    const pair = { kind: REBUILT.kind, builder: `${before}-to-${after}` };
    const imageBy = (builder: string) => ({
      pair: { kind: REBUILT.from, builder },
      version: REBUILT.version,
    });
    const images = { v1: imageBy(before), v2: imageBy(after) };
    await report(pair.kind, async () => ((await maker.makeOf(pair, images)) ? [pair.builder] : []));
  }
}
process.exitCode = failures > 0 ? 1 : 0;

/** Prints what was made, or why it was not. */
async function report(kind: string, make: () => Promise<string[]>): Promise<void> {
  const started = performance.now();
  try {
    const builders = await make();
    const seconds = ((performance.now() - started) / 1_000).toFixed(0);
    if (builders.length > 0) console.log(`${kind} by ${builders.join(', ')}: made in ${seconds} s`);
  } catch (error) {
    failures += 1;
    console.error(`${kind}: ${(error as Error).message}`);
  }
}
