import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../run-program.ts';
import { packageFilesOf } from '../sources/debian.ts';
import { made } from '../sources/made.ts';
import { npmPackage } from '../sources/npm.ts';
import type { Kind, Place, Version } from './kind.ts';

const DOCKERFILE = 'FROM scratch\nCOPY program /program\nENTRYPOINT ["/program"]\n';
const PROGRAMS = join(import.meta.dirname, '../programs');

/** An image of one program. */
const binary = (name: string, change: string, find: (place: Place) => Promise<string>): Kind => ({
  name,
  change,
  isBinary: true,
  fill: async (place) => {
    await cp(await find(place), join(place.folder, 'program'));
    return DOCKERFILE;
  },
});

/** Lines of the source that are there since `v2`. */
const NEWER = /^\s*\/\/ v2: /;

/** The source as it was in a version. */
async function sourceOf(file: string, version: Version): Promise<string> {
  const lines = (await readFile(join(PROGRAMS, file), 'utf8')).split('\n');
  return lines
    .flatMap((line) => {
      if (!NEWER.test(line)) return line;
      return version === 'v1' ? [] : line.replace(NEWER, '');
    })
    .join('\n');
}

const goProgram = ({ sources, version }: Place, flags: string): Promise<string> =>
  made(join(sources, `go${flags.replace(/\W+/g, '-')}-${version}`), async (part) => {
    const source = join(sources, `go-${version}.go`);
    await writeFile(source, await sourceOf('service.go', version));
    const env = { ...process.env, CGO_ENABLED: '0', GO111MODULE: 'off', GOCACHE: join(sources, 'go-cache') };
    await run('go', ['build', '-trimpath', `-ldflags=${flags}`, '-o', part, source], { env });
  });

const rustProgram = ({ sources, version }: Place, flags: string[]): Promise<string> =>
  made(join(sources, `rust${flags.join('').replace(/\W+/g, '-')}-${version}`), async (part) => {
    const source = join(sources, 'rust-source.rs');
    await writeFile(source, await sourceOf('service.rs', version));
    await run('rustc', ['--edition=2021', '-O', ...flags, '-o', part, source]);
  });

const ADDED = 'fifteen lines added';

export const binaries: Kind[] = [
  binary('go-app', `own Go service, ${ADDED}`, (place) => goProgram(place, '')),
  binary('go-app-stripped', 'the same, stripped', (place) => goProgram(place, '-s -w')),
  binary('rust-app', `own Rust service, ${ADDED}`, (place) => rustProgram(place, [])),
  binary('rust-app-debug', 'the same with debug information', (place) => rustProgram(place, ['-g'])),
  binary('rust-app-stripped', 'the same, stripped', (place) => rustProgram(place, ['-C', 'strip=symbols'])),
  binary('go-esbuild', 'esbuild 0.28.1 to 0.28.2 (Go)', async ({ sources, version }) =>
    join(
      await npmPackage(sources, '@esbuild/linux-x64', version === 'v1' ? '0.28.1' : '0.28.2'),
      'bin/esbuild',
    ),
  ),
  binary('rust-biome', 'biome 2.6.7 to 2.6.8 (Rust)', async ({ sources, version }) =>
    join(await npmPackage(sources, '@biomejs/cli-linux-x64', version === 'v1' ? '2.6.7' : '2.6.8'), 'biome'),
  ),
  binary('go-nats-server', 'nats-server of Debian 13 to that of sid (Go)', async ({ sources, version }) =>
    join(
      await packageFilesOf(sources, version === 'v1' ? 'trixie' : 'sid', ['nats-server']),
      'usr/sbin/nats-server',
    ),
  ),
];
