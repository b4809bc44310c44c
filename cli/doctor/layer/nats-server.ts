import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { formatBytes } from '#proto/contract/quantity-text.ts';
import { natsServer } from '#proto/overview/nats-advisories.ts';
import { installedNatsServer } from '../../layer/nats-server.ts';
import type { Subject } from '../subject/subject.ts';
import { causeAndRemedy, type Finding, fault, type Verdict, warning } from '../verdict/check.ts';

/** The nats-server: its program, its version, and the size of its store. */

/** Versions that work: the first that has what the bus uses. */
const MIN_VERSION = [2, 9];
/** Limit of the store on disk, as of cli/data/bus-configuration.ts, in bytes. */
const MAX_STORE_BYTES = 1024 ** 3;
/** Share of the limit that is worth a word. */
const FULL = 0.9;
/** Max files of the store that are counted. */
const MAX_FILES = 20_000;

export type NatsSeen = {
  /** Of the one that runs, else of the program. */
  version?: string | undefined;
  isRunning: boolean;
  /** Why the program can't be used. */
  missing?: string | undefined;
  storeBytes?: number | undefined;
};

export async function checkNatsServer(
  { folder, bus, env, place }: Subject,
  signal: AbortSignal,
): Promise<Verdict> {
  const storeBytes = place === 'present' ? await sizeOf(folder.jetstream, signal) : undefined;
  const running = bus?.serverVersion();
  if (running) return natsVerdict({ version: running, isRunning: true, storeBytes });
  const program = programOf(env);
  if ('missing' in program) return natsVerdict({ isRunning: false, missing: program.missing, storeBytes });
  const version = await versionOf(program.path, signal);
  const missing =
    version === undefined ? `${program.path} names no version: it is no nats-server` : undefined;
  return natsVerdict({ version, isRunning: false, missing, storeBytes });
}

function programOf(env: NodeJS.ProcessEnv): { path: string } | { missing: string } {
  try {
    const path = installedNatsServer(env);
    return path === undefined ? { missing: 'nats-server is not installed' } : { path };
  } catch (error) {
    return { missing: causeAndRemedy((error as Error).message.replace(/^TERRACE_NATS_SERVER: /, '')).what };
  }
}

async function versionOf(program: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { signal, maxBuffer: 65_536 });
    return /v?(\d+\.\d+\.\d+[\w.-]*)/.exec(stdout)?.[1];
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

async function sizeOf(root: string, signal: AbortSignal): Promise<number | undefined> {
  try {
    let bytes = 0;
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    for (const entry of entries.filter((one) => one.isFile()).slice(0, MAX_FILES)) {
      signal.throwIfAborted();
      bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => ({ size: 0 }))).size;
    }
    return bytes;
  } catch {
    return undefined;
  }
}

/** Pure. */
export function natsVerdict({ version, isRunning, missing, storeBytes }: NatsSeen): Verdict {
  if (missing !== undefined || version === undefined) {
    const remedy = 'install it (Debian: apt-get install nats-server), or set TERRACE_NATS_SERVER to its path';
    return { about: '', findings: [fault(missing ?? 'nats-server names no version', remedy)] };
  }
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [minMajor = 0, minMinor = 0] = MIN_VERSION;
  const store =
    storeBytes === undefined ? '' : `; store ${formatBytes(storeBytes)} of ${formatBytes(MAX_STORE_BYTES)}`;
  const about = `${version}${isRunning ? ', runs' : ''}${store}`;
  const findings: Finding[] = [];
  if (major < minMajor || (major === minMajor && minor < minMinor)) {
    const what = `nats-server ${version} is too old: the bus needs ${MIN_VERSION.join('.')} or later`;
    findings.push(fault(what, 'install a current version, or set TERRACE_NATS_SERVER to its path'));
  } else {
    const { advisories, remedy = '' } = natsServer(version);
    if (advisories) {
      const what = `nats-server ${version} has known vulnerabilities: ${advisories.map(({ id }) => id).join(', ')}`;
      findings.push(warning(what, remedy));
    }
  }
  if (storeBytes !== undefined && storeBytes > FULL * MAX_STORE_BYTES) {
    const what = `the store of the bus has ${formatBytes(storeBytes)} of ${formatBytes(MAX_STORE_BYTES)}`;
    findings.push(warning(what, 'shorten eventTtl; the oldest events are deleted when it is full'));
  }
  return { about, findings };
}
