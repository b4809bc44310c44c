import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { NODE_ENV, NODE_FLAGS } from '../../cli/data/node.ts';
import { canInstallDebian, installDebian } from '../../cli/layer/debian.ts';
import { bounded, SLOWNESS } from './until.ts';

/** node:test's global setup: the programs that the tests run, from Debian packages of the same names. */
const programs = [
  'nats-server',
  'skopeo',
  'podman',
  'buildah',
  'docker-registry',
  'strace',
  'nginx',
  'openssl',
];

/** Debian keeps servers where the path of a plain user doesn't look. */
const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
const isThere = (program: string) => folders.some((folder) => existsSync(join(folder, program)));

export function globalSetup(): void {
  installMissing();
  const slowness = bounded(Number(process.env[SLOWNESS]) || measureSlowness());
  process.env[SLOWNESS] = String(slowness);
  // A layer that is slow to stop is no failure.
  process.env.TERRACE_STOP_MS ??= String(Math.ceil(slowness * 4_000));
}

function installMissing(): void {
  const missing = programs.filter((program) => !isThere(program));
  if (missing.length === 0) return;
  const command = `apt-get install ${missing.join(' ')}`;
  if (!canInstallDebian()) throw new Error(`the tests need ${missing.join(', ')}: run "${command}" as root`);
  console.log(`Installing for the tests: ${missing.join(' ')} …`);
  const failure = installDebian(missing);
  const still = missing.filter((program) => !isThere(program));
  if (still.length > 0)
    throw new Error(`"${command}" failed: ${failure ?? `${still.join(', ')} is not there`}`);
}

/** How long a start of the command takes on a quiet machine, in ms. */
const QUIET_START_MS = 250;

/** How much longer than on a quiet machine the command takes to start: the second start, as the first fills caches. */
function measureSlowness(): number {
  const start = () => {
    const began = performance.now();
    spawnSync(
      process.execPath,
      [...NODE_FLAGS, join(import.meta.dirname, '../../cli/terrace.ts'), '--help'],
      {
        stdio: 'ignore',
        env: { ...process.env, ...NODE_ENV },
      },
    );
    return performance.now() - began;
  };
  start();
  return bounded(Math.max(start(), start()) / QUIET_START_MS);
}
