import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { NODE_ENV, NODE_FLAGS } from '../../cli/data/node.ts';
import { canInstallDebian, installDebian } from '../../cli/layer/debian.ts';
import { useMemoryFolder } from './memory-folder.ts';
import { bounded, SLOWNESS } from './until.ts';

/** Global setup of node:test. The tests run these programs, from Debian packages of the same names. */
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

/** Tests that need one of these are skipped without it. Together about 35 MB to load. */
const optional = ['prometheus', 'zsh', 'fish', 'groff'];

/** Debian installs servers in a folder that is not on the path of a plain user. */
const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
const isInstalled = (program: string) => folders.some((folder) => existsSync(join(folder, program)));

/** Of the tests of the page, which are skipped without it, but not in CI: test/page/browser.ts. */
const BROWSER = 'chromium';

let deleteFolder = (): void => {};

export function globalTeardown(): void {
  deleteFolder();
}

export function globalSetup(): void {
  deleteFolder = useMemoryFolder();
  installMissing();
  installBrowser();
  const slowness = bounded(Number(process.env[SLOWNESS]) || measureSlowness());
  process.env[SLOWNESS] = String(slowness);
  // A layer takes longer to stop on a slow machine.
  process.env.TERRACE_STOP_MS ??= String(Math.ceil(slowness * 4_000));
}

function installMissing(): void {
  installNeeded();
  const missing = optional.filter((program) => !isInstalled(program));
  if (missing.length === 0 || !canInstallDebian()) return;
  console.log(`Installing for some tests: ${missing.join(' ')} …`);
  if (installDebian(missing)) console.log(`${missing.join(', ')} could not be installed: those are skipped`);
}

function installNeeded(): void {
  const missing = programs.filter((program) => !isInstalled(program));
  if (missing.length === 0) return;
  const command = `apt-get install ${missing.join(' ')}`;
  if (!canInstallDebian()) throw new Error(`the tests need ${missing.join(', ')}: run "${command}" as root`);
  console.log(`Installing for the tests: ${missing.join(' ')} …`);
  const failure = installDebian(missing);
  const stillMissing = missing.filter((program) => !isInstalled(program));
  if (stillMissing.length > 0)
    throw new Error(`"${command}" failed: ${failure ?? `${stillMissing.join(', ')} is still missing`}`);
}

function installBrowser(): void {
  if (isInstalled(BROWSER)) return;
  const failure = canInstallDebian() ? installDebian([BROWSER]) : `run "apt-get install ${BROWSER}" as root`;
  if (isInstalled(BROWSER)) return;
  const complaint = `${BROWSER} is missing: ${failure ?? 'its package has another name'}`;
  if (process.env.CI) throw new Error(`the tests of the page can't run: ${complaint}`);
  console.log(`The tests of the page are skipped: ${complaint}`);
}

/** Start-up time of the command on an idle machine, in ms. */
const IDLE_START_MS = 250;

/** Start-up time of the command, as a multiple of that on an idle machine. The first start only fills caches. */
function measureSlowness(): number {
  const startUpMs = () => {
    const start = performance.now();
    spawnSync(
      process.execPath,
      [...NODE_FLAGS, join(import.meta.dirname, '../../cli/terrace.ts'), '--help'],
      {
        stdio: 'ignore',
        env: { ...process.env, ...NODE_ENV },
      },
    );
    return performance.now() - start;
  };
  startUpMs();
  return bounded(Math.max(startUpMs(), startUpMs()) / IDLE_START_MS);
}
