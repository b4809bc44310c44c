import { execFileSync } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Static, TSchema } from '@sinclair/typebox';
import { locateBlob } from '#proto/content/blobs.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import type { Event } from '#proto/contract/contract.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { type DeltaJob, deltaMade } from '#proto/sync/delta-jobs.ts';
import { DeltaCounters } from '../../../services/syncer/counters/delta-counters.ts';
import { DeltaApplications } from '../../../services/syncer/delta/jobs/delta-applications.ts';
import type { DeltaDeps, DeltaSettings } from '../../../services/syncer/delta/jobs/delta-deps.ts';
import { DeltaJobs } from '../../../services/syncer/delta/jobs/delta-jobs.ts';
import { noise, text } from '../../proto/delta/blobs.ts';
import { type Buses, Rig } from '../../storage/rig.ts';
import { quiet } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

export const app = 'line/app';

/** Storage on a real bus, and in this process what a syncer has for deltas. */
export class DeltaRig implements AsyncDisposable {
  readonly storage: Rig;
  readonly deps: DeltaDeps;
  readonly applications: DeltaApplications;
  readonly jobs: DeltaJobs;
  readonly settings: DeltaSettings = {
    mode: 'auto',
    scratch: 2 ** 30,
    timeMs: 120_000,
    reserve: 1,
    takesPushes: true,
  };
  /** What the syncer published: `[type, data]`. */
  readonly published: [string, unknown][] = [];
  readonly counters = new DeltaCounters();

  static async open(buses: Buses): Promise<DeltaRig> {
    return new DeltaRig(await Rig.open(buses));
  }

  private constructor(storage: Rig) {
    this.storage = storage;
    const { syncer, data } = storage;
    const publish = <T extends TSchema>(event: Event<T>, body: Static<T>) => {
      this.published.push([event.type, body]);
    };
    this.deps = {
      bus: { call: syncer.call, publish },
      volume: syncer.volume,
      data,
      settings: () => this.settings,
      counters: this.counters,
      env: process.env,
      by: syncer.by,
      log: quiet,
    };
    this.applications = new DeltaApplications(this.deps);
    this.jobs = new DeltaJobs(this.deps, this.applications);
  }

  push(bytes: Uint8Array, repository = app): Promise<string> {
    return this.storage.gateway.push(repository, bytes);
  }

  /** Has a delta made. @returns the data of the event that ends the job */
  async make(to: string, candidates: string[], signal = new AbortController().signal) {
    await this.run(this.jobFor(to, candidates), signal);
    return this.last;
  }

  jobFor(to: string, candidates: string[]): DeltaJob {
    return { kind: 'make', repository: app, to, toSize: 1, candidates, reason: 'asked' };
  }

  run(job: DeltaJob, signal = new AbortController().signal) {
    return this.jobs.run(job, signal);
  }

  /** The last event: `{ type, ... }`. */
  get last(): Record<string, unknown> & { type: string } {
    const [type, body] = this.published.at(-1) ?? ['none', {}];
    return { ...(body as object), type };
  }

  /** Makes a delta, which must be worth it. */
  async made(to: string, candidates: string[], toSize: number): Promise<HeldDelta> {
    const { type, from, digest, size, kind } = await this.make(to, candidates);
    if (type !== deltaMade.type) throw new Error(`no delta was made: ${JSON.stringify(this.last)}`);
    return { to, toSize, from, digest, size, kind, format: DELTA_FORMAT, cpuMs: 0 } as HeldDelta;
  }

  /** Changes a byte of committed content. */
  async damage(digest: string): Promise<void> {
    const file = await this.#fileOf(digest);
    const bytes = await readFile(file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
    await rm(file);
    await writeFile(file, bytes);
  }

  /** Who opens this content from now on waits for ever. */
  async stall(digest: string): Promise<void> {
    const file = await this.#fileOf(digest);
    await rm(file);
    execFileSync('mkfifo', [file]);
  }

  async #fileOf(digest: string): Promise<string> {
    const { gateway, data } = this.storage;
    return join(data, (await gateway.call(locateBlob, { repository: app, digest })).path);
  }

  /** Files that are left in the folder for scratch files, and ingests that are left. */
  async left(): Promise<string[]> {
    const { data } = this.storage;
    const names = async (folder: string) => readdir(join(data, folder)).catch((): string[] => []);
    return [...(await names('scratch')), ...(await names('ingest'))];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.storage[Symbol.asyncDispose]();
  }
}

/** A gzipped tar archive of these files. */
export const layerOf = (files: Record<string, Uint8Array>): Buffer => gzipSync(tarOf(files), { level: 6 });

export function tarOf(files: Record<string, Uint8Array>): Buffer {
  const parts: Buffer[] = [];
  for (const [path, content] of Object.entries(files)) {
    const header = Buffer.alloc(512);
    header.write(path, 0);
    header.write('0000644\0', 100);
    header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
    header.fill(' ', 148, 156);
    header.write('0', 156);
    header.write('ustar\0', 257);
    header.write(`${sumOf(header).toString(8).padStart(6, '0')}\0`, 148);
    parts.push(header, Buffer.from(content), Buffer.alloc((512 - (content.length % 512)) % 512));
  }
  return Buffer.concat([...parts, Buffer.alloc(1_024)]);
}

const sumOf = (bytes: Uint8Array): number => bytes.reduce((sum, byte) => sum + byte, 0);

/** Two versions of a layer: one file of 20 differs. */
export function versions(seed = 1): { old: Buffer; next: Buffer } {
  const files = Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => [`usr/lib/file-${letters(i)}`, mixed(seed + i)]),
  );
  return { old: layerOf(files), next: layerOf({ ...files, 'usr/lib/file-k': mixed(seed + 100) }) };
}

export const letters = (number: number): string => String.fromCharCode(97 + number);

/** 40 kB: half of it text, half noise. */
export const mixed = (seed: number): Buffer => Buffer.concat([text(20_000, seed), noise(20_000, seed)]);

/** Pids of the processes that make or apply deltas for this process. */
export const workers = (): Promise<number[]> => workersOf(process.pid);

export async function workersOf(parent: number): Promise<number[]> {
  const children = await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8');
  const found: number[] = [];
  for (const pid of children.split(' ').filter(Boolean)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes('delta/worker/main.ts')) found.push(Number(pid));
  }
  return found;
}

/** @returns its pid, once it has this niceness */
export async function oneWorker(niceness: number): Promise<number> {
  let pid: number | undefined;
  await until(async () => {
    [pid] = await workers();
    return pid !== undefined && (await nicenessOf(pid)).every((one) => one === niceness);
  }, 'a process for the delta with its priority');
  return pid as number;
}

/** Of all threads of a process. */
async function nicenessOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  const stats = threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8'));
  return (await Promise.all(stats)).map((stat) => Number(stat.replace(/^.*\) /s, '').split(' ')[16]));
}
