import { once } from 'node:events';
import { crc32 } from 'node:zlib';
import type { Bus } from '#proto/bus/bus.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import type { HeldDelta } from '#proto/content/deltas.ts';
import { type Claim, claimTransfer, releaseClaim } from '#proto/content/ingests.ts';
import type { Fault } from '#proto/contract/fault.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { MadeBy } from '#proto/volume/chunk-log.ts';
import { TransferCounters } from '../../../services/syncer/counters/transfer-counters.ts';
import { type Extent, Extents } from '../../../services/syncer/link/answers/extents.ts';
import { UNLIMITED } from '../../../services/syncer/link/bandwidth/bandwidth.ts';
import { FailedDeltas } from '../../../services/syncer/transfer/deltas/failed-deltas.ts';
import { OfferedDeltas } from '../../../services/syncer/transfer/deltas/offered-deltas.ts';
import { ChunkLog } from '../../../services/syncer/transfer/pieces/chunk-log.ts';
import type { DeltaApplication } from '../../../services/syncer/transfer/pieces/delta-applier.ts';
import { Slots } from '../../../services/syncer/transfer/slots.ts';
import { runDelta, runDownload } from '../../../services/syncer/transfer/worker.ts';
import { digestOf, Rig, random } from '../../storage/rig.ts';
import { sharedBuses } from '../../storage/shared-buses.ts';
import { quietActivity } from './quiet-activity.ts';

export const repository = 'app';
const log = { debug() {}, info() {}, warn() {}, error() {} };
const buses = await sharedBuses();

/** A parent that has a blob and a delta to it, and a syncer whose deltas are applied by writing the blob. */
export class DeltaWorld implements AsyncDisposable {
  readonly rig: Rig;
  readonly target = Buffer.from(random(600_000));
  readonly bytes = Buffer.from(random(50_000));
  readonly delta: HeldDelta;
  /** Bytes that crossed the link, by digest. */
  readonly crossed = new Map<Digest, number>();
  readonly events: { type: string; data: Record<string, unknown> }[] = [];
  readonly counters = new TransferCounters();
  readonly failedDeltas = new FailedDeltas();
  /** Offers a delta to the transfers of this process. */
  offer: (delta: HeldDelta) => void = () => {};
  readonly offered = new OfferedDeltas({
    listen: (_: unknown, listener: (event: never) => void) => {
      this.offer = (data) => listener({ data } as never);
      return () => {};
    },
  } as never);
  stop = new AbortController();
  applied = 0;
  isMadeWrong = false;
  /** Instead of the application. */
  applying: ((application: DeltaApplication) => Promise<void>) | undefined;
  /** Answers instead of the parent. */
  answering: ((digest: Digest) => void) | undefined;
  /** Ends an answer after half of its bytes. */
  breaking: Fault | undefined;

  static async create(): Promise<DeltaWorld> {
    return new DeltaWorld(await Rig.open(buses));
  }

  private constructor(rig: Rig) {
    this.rig = rig;
    const record = { to: digestOf(this.target) as Digest, toSize: this.target.length, format: DELTA_FORMAT };
    const from = [`sha256:${'b'.repeat(64)}`];
    const own = { digest: digestOf(this.bytes) as Digest, size: this.bytes.length };
    this.delta = { ...record, from, kind: 'raw', cpuMs: 5, ...own };
  }

  get #job() {
    const { to: digest, toSize: size } = this.delta;
    return { repository, digest, size, direction: 'down' as const, pass: 'p', delta: this.delta };
  }

  get #deps() {
    const bus = {
      call: this.rig.syncer.call.bind(this.rig.syncer),
      publish: ({ type }: { type: string }, data: Record<string, unknown>) =>
        this.events.push({ type, data }),
    } as unknown as Bus;
    const source = async () => ({ blob: this.#answer.bind(this) });
    const activity = quietActivity(this.counters);
    const applier = { applyInto: this.#apply.bind(this) };
    const { volume } = this.rig.syncer;
    const link = { parent: source, deltas: source, slots: new Slots(2), bandwidth: UNLIMITED };
    const { failedDeltas, offered } = this;
    const own = { by: 's', activity, applier, failedDeltas, offered, log };
    return { ...link, ...own, bus, volume, signal: this.stop.signal };
  }

  run(until?: number) {
    return runDownload(this.#deps, { ...this.#job, ...(until !== undefined && { until }) });
  }

  plain() {
    const { delta: _, ...job } = this.#job;
    return runDownload(this.#deps, job);
  }

  /** Leaves parts of the blob in its ingest, as a process does that was killed. */
  async leave(...parts: [start: number, end: number, by?: MadeBy][]): Promise<void> {
    const { syncer } = this.rig;
    const { to: digest, toSize: size } = this.delta;
    const claim = await syncer.call(claimTransfer, { repository, digest, size, by: 'killed' });
    await this.#log(claim, parts);
    await syncer.call(releaseClaim, { id: claim.id, claim: claim.claim });
  }

  async #log(claim: Claim, parts: [start: number, end: number, by?: MadeBy][]): Promise<void> {
    const { volume } = this.rig.syncer;
    await using file = await volume.openIngest(claim);
    await using log = await ChunkLog.open(await volume.openLog(claim));
    for (const [start, end, by] of parts) {
      const bytes = this.target.subarray(start, end);
      await file.write([by && this.isMadeWrong ? random(bytes.length) : bytes], start);
      const written = Buffer.alloc(bytes.length);
      await file.read(written, start);
      await log.append({ start, end, crc: crc32(written), ...(by && { by }) });
    }
  }

  prefetch() {
    return runDelta(this.#deps, this.#job);
  }

  async isHere(digest = this.delta.to): Promise<boolean> {
    return (await this.rig.syncer.call(missingBlobs, { digests: [digest] })).digests.length === 0;
  }

  get types(): string[] {
    return this.events.map(({ type }) => type);
  }

  async #apply(application: DeltaApplication) {
    this.applied += 1;
    await this.applying?.(application);
    const { file, log } = application.target;
    const present = log.chunks.length > 0;
    for (const { start, end } of new Extents(log.chunks).missing(this.target.length)) {
      const bytes = this.target.subarray(start, end);
      await file.write([bytes], start);
      await log.append({ start, end, crc: crc32(bytes), by: 'delta' });
    }
    return { hashed: present ? undefined : this.delta.to, cpuMs: 7, ms: 9 };
  }

  /** Is called when half of an answer with the blob has been sent. */
  halfway: (() => void) | undefined;

  async #answer(_: string, digest: Digest, _size: number, { start, end }: Extent, signal: AbortSignal) {
    this.answering?.(digest);
    const content = digest === this.delta.digest ? this.bytes : this.target;
    const { crossed, breaking } = this;
    this.breaking = undefined;
    const halfway = digest === this.delta.to ? this.halfway : undefined;
    const sent = breaking || halfway ? (start + end) >> 1 : end;
    const body = async function* () {
      crossed.set(digest, (crossed.get(digest) ?? 0) + sent - start);
      yield Buffer.from(content.subarray(start, sent));
      halfway?.();
      if (halfway && !signal.aborted) await once(signal, 'abort');
      signal.throwIfAborted();
      if (breaking) throw breaking;
    };
    return { start, ranged: true, body: { destroy() {}, [Symbol.asyncIterator]: body } };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.rig[Symbol.asyncDispose]();
  }
}
