import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Bus } from '#proto/bus/bus.ts';
import type { DeltaRecord, HeldDelta } from '#proto/content/deltas.ts';
import { type Claim, claimTransfer, commitBlob } from '#proto/content/ingests.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import {
  DELTAS_PATH,
  type DeltaAnswer,
  type DeltaQuestion,
  type PushedDelta,
} from '#proto/sync/delta-exchange.ts';
import { deltaJobId } from '#proto/sync/delta-job-id.ts';
import { type DeltaJob, deltaFailed, deltaJob, deltaMade } from '#proto/sync/delta-jobs.ts';
import { encodeChunk, LOG_MAGIC } from '#proto/volume/chunk-log.ts';
import { Volume } from '#proto/volume/volume.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';

export const BLOB_BYTES = 300_000;

type Login = Record<string, string>;
type Made = HeldDelta & { bytes: Buffer };

/** A layer whose deltas are made, and arrive, by this process: a delta is any bytes here. */
export class DeltaLayer implements AsyncDisposable {
  readonly rig: GatewayRig;
  readonly syncer: Bus;
  readonly jobs: DeltaJob[] = [];
  readonly #volume: Volume;
  readonly #end = new AbortController();
  #working: Promise<void> | undefined;

  static async start(): Promise<DeltaLayer> {
    const rig = await GatewayRig.start();
    return new DeltaLayer(rig, await rig.testBus.connect('syncer'));
  }

  private constructor(rig: GatewayRig, syncer: Bus) {
    this.rig = rig;
    this.syncer = syncer;
    this.#volume = new Volume(rig.data);
  }

  /** Pushes a blob of random bytes. @returns its digest */
  blob(repository: string, size = BLOB_BYTES, login: Login = {}): Promise<string> {
    return this.#push(repository, randomBytes(size), login);
  }

  async #push(repository: string, bytes: Buffer, headers: Login): Promise<string> {
    const digest = sha256(bytes);
    const path = `/v2/${repository}/blobs/uploads/?digest=${digest}`;
    const { status } = await this.rig.fetch('POST', path, { headers, body: bytes });
    if (status !== 201) throw new Error(`${status} for a push to ${repository}`);
    return digest;
  }

  /** Pushes the bytes of a delta as a blob. */
  async pushDelta(repository: string, to: string, from: string[], login: Login = {}): Promise<HeldDelta> {
    const bytes = randomBytes(1_000);
    const digest = await this.#push(repository, bytes, login);
    return { ...recordOf(to, from), digest, size: bytes.length };
  }

  /** Takes jobs for deltas from now on. Their outcome is that of `handler`. */
  work(handler: (job: DeltaJob) => Promise<void>): void {
    const run = async (job: DeltaJob) => {
      this.jobs.push(job);
      await handler(job);
      return 'done' as const;
    };
    const { signal } = this.#end;
    const working = [
      this.syncer.work('make', deltaJob.make, signal, run),
      this.syncer.work('apply', deltaJob.apply, signal, run),
    ];
    this.#working = Promise.all(working).then(() => {});
  }

  /** Makes a delta to the target of the job, of its first candidate, as a syncer does. */
  readonly make = async (job: DeltaJob): Promise<void> => {
    if (job.kind !== 'make') throw new Error('not such a job');
    const { repository, to, toSize, candidates } = job;
    const from = candidates.slice(0, 1);
    const { digest, size } = await this.keep(repository, to, from);
    const about = { repository, to, toSize, from, digest, size, syncer: 's' };
    this.syncer.publish(deltaMade, { ...about, kind: 'raw', cpuMs: 1, ms: 1 });
  };

  readonly fail = async (job: DeltaJob): Promise<void> => {
    const { to, toSize } = job.kind === 'make' ? job : job.delta;
    const about = {
      repository: job.repository,
      to,
      toSize,
      syncer: 's',
      job: job.kind,
      jobId: deltaJobId(job),
    };
    this.syncer.publish(deltaFailed, { ...about, code: 'no-space', reason: 'the data volume is full' });
  };

  /** Commits a delta with its record. */
  async keep(repository: string, to: string, from: string[]): Promise<Made> {
    const bytes = randomBytes(1_000);
    const transfer = await this.arriving(repository, to, from, bytes);
    await transfer.write(0, bytes.length);
    await transfer.commit();
    return { ...recordOf(to, from), digest: sha256(bytes), size: bytes.length, bytes };
  }

  /** Begins the transfer of a delta from the parent. */
  async arriving(repository: string, to: string, from: string[], bytes = randomBytes(1_000)) {
    const digest = sha256(bytes);
    const size = bytes.length;
    const delta = recordOf(to, from);
    const claim = await this.syncer.call(claimTransfer, { repository, digest, size, delta, by: 's' });
    return {
      ...{ digest, size, bytes },
      write: (start: number, end: number) => this.#write(claim, bytes, start, end),
      commit: async () => {
        const { id, claim: token } = claim;
        await this.syncer.call(commitBlob, { id, claim: token, digest, size, delta });
      },
    };
  }

  async #write(claim: Claim, bytes: Buffer, start: number, end: number): Promise<void> {
    await using file = await this.#volume.openIngest(claim);
    await file.write([bytes.subarray(start, end)], start);
    const log = await this.#volume.openLog(claim);
    if ((await log.stat()).size === 0) await log.appendFile(LOG_MAGIC);
    await log.appendFile(encodeChunk({ start, end, crc: crc32(bytes.subarray(start, end)) }));
    await log.close();
  }

  post(path: string, body: unknown, headers: Login = {}): Promise<Response> {
    const sent = typeof body === 'string' ? body : JSON.stringify(body);
    return this.rig.fetch('POST', `${DELTAS_PATH}${path}`, { headers, body: sent });
  }

  async ask(question: DeltaQuestion, login: Login = {}): Promise<DeltaAnswer['deltas']> {
    const response = await this.post('', question, login);
    if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
    return ((await response.json()) as DeltaAnswer).deltas;
  }

  apply(push: PushedDelta, login: Login = {}): Promise<Response> {
    return this.post('/apply', push, login);
  }

  /** Requests the bytes `[start, end)` of a delta. */
  bytes(repository: string, digest: string, start: number, end: number, { wait = 0, login = {} } = {}) {
    const query = new URLSearchParams({ repository, wait: String(wait) });
    const headers = { range: `bytes=${start}-${end - 1}`, ...login };
    return this.rig.fetch('GET', `${DELTAS_PATH}/${digest}?${query}`, { headers });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#working;
    await this.rig[Symbol.asyncDispose]();
  }
}

const recordOf = (to: string, from: string[]): DeltaRecord => ({
  ...{ to, toSize: BLOB_BYTES, from, format: DELTA_FORMAT, kind: 'raw', cpuMs: 1 },
});

/** A question for one blob, by one who holds these layers of one image. */
export const questionFor = (
  repository: string,
  to: string,
  held: string[],
  more: Partial<DeltaQuestion> = {},
): DeltaQuestion => ({
  ...{ repository, formats: [DELTA_FORMAT], wanted: [{ digest: to, size: BLOB_BYTES }] },
  ...{ layers: [to], held: [held], wait: 0 },
  ...more,
});
