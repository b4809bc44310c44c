import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive } from '#proto/process/process-stat.ts';
import { aloneFolder, type DataFolder } from '../data/data-folder.ts';
import { livingPid } from '../data/pid-file.ts';
import { Refusal } from '../terminal/refusal.ts';
import { canInstallDebian, installDebian } from './debian.ts';

/** Max time for a nats-server to start, in ms: many stored messages or a slow disk delay it. */
export const BUS_START_MS = 30_000;

/** The path of the nats-server program; undefined if none is installed. @throws Refusal */
export function installedNatsServer(env: NodeJS.ProcessEnv): string | undefined {
  const named = env.TERRACE_NATS_SERVER;
  if (named) {
    if (isProgram(named)) return named;
    throw new Refusal(
      `TERRACE_NATS_SERVER: ${named} is not executable: set it to the path of the nats-server program`,
      2,
    );
  }
  const folders = [...(env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/usr/local/bin'];
  return folders.map((folder) => join(folder || '.', 'nats-server')).find(isProgram);
}

/** The path of the nats-server program; installs the Debian package if it is missing. @throws Refusal */
export function findNatsServer(env: NodeJS.ProcessEnv, print: (line: string) => void): string {
  const existing = installedNatsServer(env);
  if (existing) return existing;
  if (!canInstallDebian()) {
    throw new Refusal(
      'nats-server is not installed: install it (Debian: apt-get install nats-server), or set TERRACE_NATS_SERVER to its path',
    );
  }
  print('Installing nats-server (Debian package) …');
  const failure = installDebian(['nats-server']);
  const installed = installedNatsServer(env);
  if (installed) return installed;
  throw new Refusal(`nats-server could not be installed: ${(failure ?? 'unknown').split('\n').at(-1)}`);
}

/** In its own process group, so that Ctrl-C in a terminal does not end it before the services. */
export function spawnNatsServer(program: string, folder: DataFolder): ChildProcess {
  return spawn(program, ['-c', folder.busConfiguration], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
}

/**
 * Stops the nats-servers that a killed supervisor or a killed command left behind on this data folder. Only commands
 * run one with the configuration in `run/alone`, so these are found even if their pid was not recorded.
 */
export async function stopOrphans(folder: DataFolder): Promise<void> {
  const recorded = livingPid(folder.busPid);
  const pids = new Set(runningOn(aloneFolder(folder.root).busConfiguration));
  if (recorded !== undefined && commandLine(recorded).includes(folder.busConfiguration)) pids.add(recorded);
  for (const pid of pids) await stopProcess(pid);
}

async function stopProcess(pid: number): Promise<void> {
  for (const [signal, ms] of [['SIGTERM', 2_000] as const, ['SIGKILL', 1_000] as const]) {
    try {
      process.kill(pid, signal);
    } catch {
      return;
    }
    for (const end = performance.now() + ms; isAlive(pid) && performance.now() < end; ) await sleep(20);
    if (!isAlive(pid)) return;
  }
}

/** Empty without /proc. */
function runningOn(configuration: string): number[] {
  try {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return pids.map(Number).filter((pid) => commandLine(pid).includes(configuration));
  } catch {
    return [];
  }
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
  } catch {
    return [];
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
