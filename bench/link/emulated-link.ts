import { type ChildProcess, type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** Congestion control of the parent's side, which sends the content. */
export type Congestion = 'cubic' | 'bbr';

/** Limits of each direction. */
export type LinkConditions = { mbit: number; delayMs: number; lossPercent: number; congestion: Congestion };

/** What crossed the link towards the layer. Times are of the monotonic clock. */
export type LinkTraffic = {
  /** First TCP frame of either side, and last frame with payload. */
  firstNs: number;
  lastNs: number;
  /** Of TCP frames, with their headers; of the payload alone. */
  frameBytes: number;
  payloadBytes: number;
  lost: number;
  dropped: number;
  /** Frames that the emulator delivered late: if there are many, the machine was the limit. */
  late: number;
};

/** Payload to one port of the layer within one interval. */
export type Traced = { ns: number; port: number; bytes: number };

/** Size of a full Ethernet frame, and of the TCP payload in it (with timestamps), in bytes. */
const FRAME = 1_514;
export const PAYLOAD = 1_448;
const MIN_QUEUE_KIB = 64;
const MAC = { own: '02:00:00:00:00:01', peer: '02:00:00:00:00:02' };
const source = join(import.meta.dirname, 'emulate-link.c');
let links = 0;

/** Why links can't be emulated here, with the remedy; undefined if they can. */
export function emulationFailure(): string | undefined {
  if (process.getuid?.() !== 0) return 'it needs root, for network namespaces';
  if (!existsSync('/dev/net/tun')) return 'it needs /dev/net/tun';
  const missing = [
    ['gcc', '/usr/bin/gcc'],
    ['iproute2', '/usr/sbin/ip'],
  ].filter(([, path]) => !existsSync(path as string));
  if (missing.length === 0) return undefined;
  return `run "apt-get install ${missing.map(([name]) => name).join(' ')}" first`;
}

/** Seconds that the link needs for this number of bytes of content, with the headers of their frames. */
export const idealSeconds = (bytes: number, { mbit }: LinkConditions): number =>
  (bytes * (FRAME / PAYLOAD) * 8) / (mbit * 1e6);

/** An emulated link (`emulate-link.c`) between this network namespace, the layer's, and one for its parent. */
export class EmulatedLink implements AsyncDisposable {
  /** Address of the parent's side. */
  readonly address: string;
  readonly traced: Traced[] = [];
  readonly #namespace: string;
  readonly #emulator: ChildProcessByStdio<Writable, Readable, null>;
  readonly #report: Promise<LinkTraffic>;

  /** @param traceMs interval of `traced`; without it, nothing is traced */
  static async create(
    program: string,
    conditions: LinkConditions,
    { traceMs = 0, queueKib }: { traceMs?: number; queueKib?: number } = {},
  ): Promise<EmulatedLink> {
    const { mbit, delayMs, lossPercent, congestion } = conditions;
    links += 1;
    const id = `${process.pid % 10_000}-${links % 100}`;
    const namespace = `terrace-${id}`;
    // Addresses for benchmarks (RFC 2544).
    const network = `198.${18 + (process.pid % 2)}.${Math.floor(process.pid / 2) % 256}`;
    const host = (links % 63) * 4;
    const [own, peer] = [`${network}.${host + 1}`, `${network}.${host + 2}`];
    ip('netns', 'add', namespace);
    // The usual queue of a router: what the link carries in one round trip.
    const roundTripKib = (mbit * 1e6 * 2 * delayMs) / 1_000 / 8 / 1024;
    const limits = [mbit, delayMs, lossPercent, Math.max(MIN_QUEUE_KIB, queueKib ?? roundTripKib), traceMs];
    const devices = [`tl${id}`, `/var/run/netns/${namespace}`, 'parent'];
    const emulator = spawn(program, [...devices, ...limits.map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const link = new EmulatedLink(namespace, peer, emulator);
    await once(emulator.stdout, 'data');
    sysctl(undefined, `net.ipv6.conf.${devices[0]}.disable_ipv6=1`);
    ip('address', 'add', `${own}/30`, 'dev', devices[0] as string);
    ip('link', 'set', devices[0] as string, 'address', MAC.own, 'up', 'txqueuelen', '10000');
    sysctl(namespace, 'net.ipv6.conf.parent.disable_ipv6=1');
    ip('-n', namespace, 'address', 'add', `${peer}/30`, 'dev', 'parent');
    ip('-n', namespace, 'link', 'set', 'parent', 'address', MAC.peer, 'up', 'txqueuelen', '10000');
    // Known to each other, so that no connection waits for ARP over the link.
    ip('neighbour', 'replace', peer, 'lladdr', MAC.peer, 'dev', devices[0] as string, 'nud', 'permanent');
    ip('-n', namespace, 'neighbour', 'replace', own, 'lladdr', MAC.own, 'dev', 'parent', 'nud', 'permanent');
    // By the route: the default of a namespace may be set to a few algorithms only.
    ip('-n', namespace, 'route', 'replace', `${network}.${host}/30`, 'dev', 'parent', 'congctl', congestion);
    return link;
  }

  private constructor(
    namespace: string,
    address: string,
    emulator: ChildProcessByStdio<Writable, Readable, null>,
  ) {
    this.#namespace = namespace;
    this.address = address;
    this.#emulator = emulator;
    const { promise, resolve, reject } = Promise.withResolvers<LinkTraffic>();
    this.#report = promise;
    promise.catch(() => {});
    // Read while the link is up: an emulator whose output is not read stops.
    createInterface({ input: emulator.stdout })
      .on('line', (line) => {
        if (line.startsWith('{')) return resolve(JSON.parse(line));
        const [, ns, port, bytes] = line.split(' ').map(Number);
        if (bytes !== undefined) this.traced.push({ ns, port, bytes } as Traced);
      })
      .on('close', () => reject(new Error('the emulator ended without its report')));
  }

  /** Starts a program on the parent's side. */
  spawnAtParent(program: string, parameters: string[]): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.#namespace, program, ...parameters], { stdio: 'ignore' });
  }

  /** Cuts the link. @returns what crossed it */
  end(): Promise<LinkTraffic> {
    this.#emulator.stdin.end();
    return this.#report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#emulator.exitCode === null && this.#emulator.signalCode === null) {
      this.#emulator.kill('SIGKILL');
      await once(this.#emulator, 'exit');
    }
    ip('netns', 'delete', this.#namespace);
  }
}

/** Compiles the emulator. @returns its path */
export function compileEmulator(folder: string): string {
  const program = join(folder, 'emulate-link');
  execFileSync('gcc', ['-O2', '-o', program, source]);
  return program;
}

function ip(...parameters: string[]): void {
  execFileSync('ip', parameters);
}

function sysctl(namespace: string | undefined, ...settings: string[]): void {
  const command = ['sysctl', '-q', '-w', ...settings];
  if (namespace) ip('netns', 'exec', namespace, ...command);
  else execFileSync(command[0] as string, command.slice(1));
}
