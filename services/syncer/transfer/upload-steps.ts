import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromPromise } from 'xstate';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { type BlobPlace, locateBlob } from '#proto/content/blobs.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Repository, splitDigest } from '#proto/oci/names.ts';
import type { BlobFile, Volume } from '#proto/volume/volume.ts';
import type { TransferCounters } from '../counters/transfer-counters.ts';
import type { BlobUploadState } from '../link/parent/blob-upload-state.ts';
import type { PushClient } from '../link/parent/push-client.ts';
import type { UploadSession } from '../link/parent/session.ts';
import type { WantedBlob } from './download.ts';
import type { SendRate } from './pace/send-rate.ts';
import { ShutdownGrace } from './shutdown-grace.ts';
import type { Slots } from './slots.ts';
import { logged, PATIENCE, withGainedBytes } from './steps.ts';
import { type Hold, type Located, transferMachine } from './transfer.machine.ts';
import { Upload } from './upload.ts';
import { UploadLease } from './upload-lease.ts';
import { UploadSessions } from './upload-sessions.ts';

export type UploadStepDeps = {
  bus: Bus;
  volume: Volume;
  pushClient: () => Promise<PushClient>;
  slots: Slots;
  pace: SendRate;
  by: string;
  log: Log;
  /** Ends the transfer cleanly: the session is retained, at the parent and in storage. */
  signal: AbortSignal;
  /** How long an active request may take to finish once `signal` aborts at the shutdown of this process, in ms. */
  graceMs: number;
  started: (present: number) => void;
  progress: (done: number) => void;
  counters: TransferCounters;
  /** Location of the content here; without it, that of a blob. @throws Fault `blob-unknown` */
  locateHere?: (wanted: WantedBlob) => Promise<BlobPlace>;
};

/** Fields of a job other than the blob. */
export type UploadOptions = {
  /** When the window closes, in ms since 1970. */
  until?: number | undefined;
  /** Repositories of the parent to mount from. */
  from?: Repository[] | undefined;
  /** Sends the blob even if the parent says that it has it. */
  resend?: boolean | undefined;
  /** Sends the blob also if the parent refused it by every method a while ago. */
  retryRefused?: boolean | undefined;
};

/** The transfer machine with the actors of an upload. */
export const uploadMachine = (deps: UploadStepDeps, options: UploadOptions) => {
  const steps = new UploadSteps(deps, options);
  return uploadMachineWith(deps, (wanted) => steps.locate(wanted));
};

export const uploadMachineWith = (
  deps: Pick<UploadStepDeps, 'log' | 'signal'>,
  locate: (wanted: WantedBlob) => Promise<Located>,
) =>
  transferMachine.provide({
    actors: {
      locate: fromPromise(({ input }) => logged(deps, locate(input))),
      wait: fromPromise(({ input: { until } }) =>
        sleep(Math.max(0, until - Date.now()), undefined, { signal: deps.signal }),
      ),
    },
  });

/** The steps of one upload, in all its attempts. */
export class UploadSteps {
  readonly #deps: UploadStepDeps;
  readonly #options: UploadOptions;
  readonly #sessions: UploadSessions;
  /** Highest offset that the parent reported in all attempts so far. */
  #confirmedOffset: number | undefined;
  /** Offset that the parent reported last. */
  #offset = 0;
  /** End of what has been sent so far, or of what the parent had before. */
  #sentUpTo = 0;
  /** An attempt has begun: what is refused from now on was refused to this transfer. */
  #isRetrying = false;
  /** The blob is sent although the parent claims to have it, and counts as sent so once. */
  #isResending = false;

  constructor(deps: UploadStepDeps, options: UploadOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#sessions = new UploadSessions(deps.bus, deps.signal, options.from ?? []);
  }

  async locate(wanted: WantedBlob): Promise<Located> {
    const { repository, digest, size } = wanted;
    const { bus, by, started } = this.#deps;
    const pushClient = await this.#deps.pushClient();
    if (await this.#isPresent(pushClient, wanted)) return { kind: 'present' };
    const state = this.#stateOf(pushClient, wanted);
    if (this.#options.retryRefused && !this.#isRetrying) state.retryRefused();
    this.#isRetrying = true;
    state.assertWanted();
    this.#assertMayResend(pushClient, wanted);
    const lock = await this.#lock(() => UploadLease.acquire(bus, by, repository, digest));
    if (!lock) return { kind: 'busy' };
    try {
      const session = await this.#sessions.open(pushClient, { repository, digest, size }, state);
      if (session === 'mounted') {
        await lock[Symbol.asyncDispose]();
        return { kind: 'present', mounted: true };
      }
      this.#offset = session.offset;
      this.#confirmedOffset ??= session.offset;
      this.#sentUpTo = Math.max(this.#sentUpTo, session.offset);
      started(session.offset);
      return { kind: 'claimed', hold: this.#hold(wanted, lock, session) };
    } catch (error) {
      await lock[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The lease of the upload. `session` is where it begins, and where it is once all but the last piece is sent. */
  #hold(wanted: WantedBlob, lock: UploadLease, session: UploadSession): Hold {
    const deps = this.#deps;
    let reached = session;
    const move = async () => {
      reached = await this.#advance(wanted, lock, session, (upload, begun) => upload.run(begun));
    };
    return {
      move: () => logged(deps, move()),
      commit: () => logged(deps, this.#commit(wanted, lock, reached)),
      release: () => lock[Symbol.asyncDispose](),
    };
  }

  async #commit(wanted: WantedBlob, lock: UploadLease, session: UploadSession): Promise<void> {
    await this.#advance(wanted, lock, session, async (upload, begun) => {
      for (let reached = begun; ; ) {
        reached = await upload.run(reached);
        if (await upload.finish(reached)) return;
      }
    });
    await this.#sessions.forget(wanted);
    await lock[Symbol.asyncDispose]();
  }

  /** Runs `task`, in new sessions if necessary. `BlobUploadState` bounds their number. */
  async #advance<T>(
    wanted: WantedBlob,
    lock: UploadLease,
    begun: UploadSession,
    task: (upload: Upload, session: UploadSession) => Promise<T>,
  ): Promise<T> {
    const { log, signal } = this.#deps;
    for (let session = begun; ; ) {
      try {
        return await this.#uploading(wanted, lock, (upload) => task(upload, session));
      } catch (error) {
        if (!Fault.is(error, 'upload-unknown') || signal.aborted) throw error;
        const pushClient = await this.#deps.pushClient();
        const { method, min, max } = this.#stateOf(pushClient, wanted).plan;
        const { digest } = wanted;
        log.warn({ digest, reason: error.message, method, min, max }, 'restarting an upload');
        session = await this.#sessions.restart(pushClient, wanted);
        this.#offset = session.offset;
      }
    }
  }

  /** @throws Fault `parent-refused` if sending it once did not help */
  #assertMayResend({ uploads }: PushClient, { repository, digest, size }: WantedBlob): void {
    if (!this.#options.resend || this.#isResending) return;
    if (!uploads.capabilities.resend({ repository, digest, size })) {
      const message = `the parent reports that it has ${digest}, was sent it again, and refuses the manifest because it lacks it: repair the repository at the parent`;
      throw new Fault('parent-refused', message);
    }
    this.#isResending = true;
  }

  #stateOf({ uploads }: PushClient, { repository, digest, size }: WantedBlob): BlobUploadState {
    return uploads.capabilities.blob({ repository, digest, size });
  }

  /** A parent that claimed to have a blob, and refused a manifest for it, is not asked. */
  async #isPresent(pushClient: PushClient, { repository, digest }: WantedBlob): Promise<boolean> {
    return !this.#options.resend && (await pushClient.hasBlob(repository, digest, this.#deps.signal));
  }

  async #uploading<T>(
    wanted: WantedBlob,
    lock: UploadLease,
    task: (upload: Upload) => Promise<T>,
  ): Promise<T> {
    const { slots, pace, signal, graceMs, progress } = this.#deps;
    const pushClient = await this.#deps.pushClient();
    let location: string | undefined;
    try {
      await using file = await this.#open(wanted);
      const ending = AbortSignal.any([signal, lock.signal]);
      using grace = new ShutdownGrace(ending, graceMs);
      const upload = new Upload(wanted, {
        uploads: pushClient.uploads,
        state: this.#stateOf(pushClient, wanted),
        isPresent: () => this.#isPresent(pushClient, wanted),
        verify: () => verify(file, wanted),
        file,
        slots,
        pace,
        until: this.#options.until,
        ensureHeld: () => lock.ensureHeld(),
        signal: ending,
        requestSignal: grace.signal,
        onSent: (start, end) => this.#count(start, end),
        onSession: async (session) => {
          this.#offset = session.offset;
          // A parent that reports on its sessions says the offset itself.
          const isKept = session.location === location && pushClient.uploads.capabilities.hasStatus;
          if (!isKept) await this.#sessions.store(wanted, session);
          location = session.location;
          progress(session.offset);
        },
      });
      return await task(upload);
    } catch (error) {
      const before = this.#confirmedOffset ?? 0;
      const gained = Math.max(0, this.#offset - before);
      this.#confirmedOffset = Math.max(before, this.#offset);
      throw withGainedBytes(error, gained);
    }
  }

  #count(start: number, end: number): void {
    const { counters } = this.#deps;
    const first = Math.max(0, end - Math.max(start, this.#sentUpTo));
    counters.bytes('up', 'new', first);
    counters.bytes('up', 'again', end - start - first);
    this.#sentUpTo = Math.max(this.#sentUpTo, end);
  }

  async #open(wanted: WantedBlob): Promise<BlobFile> {
    const { repository, digest } = wanted;
    const { bus, volume, locateHere } = this.#deps;
    const locate = locateHere ?? (() => bus.call(locateBlob, { repository, digest }, PATIENCE));
    for (let attempt = 1; ; attempt += 1) {
      const file = await volume.openBlob(await locate(wanted));
      if (file) return file;
      if (attempt === 3) throw new Fault('blob-unknown', `${digest} of ${repository} can't be found here`);
    }
  }

  async #lock<T>(acquire: () => Promise<T>): Promise<T> {
    try {
      return await acquire();
    } catch (cause) {
      throw new Fault('unavailable', 'the bus does not answer requests for leases', { cause });
    }
  }
}

/**
 * The parent says that the content does not match its digest. A blob that is damaged here is left to the scrubber.
 * @throws Fault `digest-invalid`
 */
async function verify(file: BlobFile, wanted: WantedBlob): Promise<void> {
  const { digest, repository } = wanted;
  if ((await digestOf(file, wanted)) === digest) return;
  throw new Fault(
    'digest-invalid',
    `${digest} of ${repository} is damaged here: run terrace scrub, and push it again`,
  );
}

async function digestOf(file: BlobFile, { digest, size }: WantedBlob): Promise<string> {
  const [algorithm] = splitDigest(digest);
  const hash = createHash(algorithm);
  const buffer = Buffer.allocUnsafe(1024 * 1024);
  // Reads beyond `size`, so that a longer file does not match.
  for (let at = 0; at <= size; ) {
    const read = await file.read(buffer, at);
    if (read === 0) break;
    hash.update(buffer.subarray(0, read));
    at += read;
  }
  return `${algorithm}:${hash.digest('hex')}`;
}
