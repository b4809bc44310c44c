import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromPromise } from 'xstate';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { locateBlob } from '#proto/content/blobs.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Repository, splitDigest } from '#proto/oci/names.ts';
import type { BlobFile, Volume } from '#proto/volume/volume.ts';
import type { PushClient } from '../link/parent/push-client.ts';
import type { UploadSession } from '../link/parent/session.ts';
import type { WantedBlob } from './download.ts';
import type { SendRate } from './send-rate.ts';
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
  started: (present: number) => void;
  progress: (done: number) => void;
};

/** Fields of a job other than the blob. */
export type UploadOptions = {
  /** When the window closes, in ms since 1970. */
  until?: number | undefined;
  /** Repositories of the parent to mount from. */
  from?: Repository[] | undefined;
  /** Sends the blob even if the parent says that it has it. */
  resend?: boolean | undefined;
};

/** The transfer machine with the actors of an upload. */
export const uploadMachine = (deps: UploadStepDeps, options: UploadOptions) => {
  const steps = new UploadSteps(deps, options);
  return transferMachine.provide({
    actors: {
      locate: fromPromise(({ input }) => logged(deps, steps.locate(input))),
      wait: fromPromise(({ input: { until } }) =>
        sleep(Math.max(0, until - Date.now()), undefined, { signal: deps.signal }),
      ),
    },
  });
};

class UploadSteps {
  readonly #deps: UploadStepDeps;
  readonly #options: UploadOptions;
  readonly #sessions: UploadSessions;
  /** Highest offset that the parent reported in all attempts so far. */
  #confirmedOffset: number | undefined;
  /** Offset that the parent reported last. */
  #offset = 0;
  /** The parent rejected the complete blob once, although it is correct here. */
  #wasRejected = false;

  constructor(deps: UploadStepDeps, options: UploadOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#sessions = new UploadSessions(deps.bus, deps.signal, options.from ?? []);
  }

  async locate(wanted: WantedBlob): Promise<Located> {
    const { repository, digest, size } = wanted;
    const { bus, by, signal, started } = this.#deps;
    const pushClient = await this.#deps.pushClient();
    if (!this.#options.resend && (await pushClient.hasBlob(repository, digest, signal)))
      return { kind: 'present' };
    const lock = await this.#lock(() => UploadLease.acquire(bus, by, repository, digest));
    if (!lock) return { kind: 'busy' };
    try {
      const session = await this.#sessions.open(pushClient, { repository, digest, size });
      if (session === 'mounted') {
        await lock[Symbol.asyncDispose]();
        return { kind: 'present', mounted: true };
      }
      this.#offset = session.offset;
      this.#confirmedOffset ??= session.offset;
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
      reached = await this.#uploading(wanted, lock, (upload) => upload.run(session));
    };
    return {
      move: () => logged(deps, move()),
      commit: () => logged(deps, this.#commit(wanted, lock, reached)),
      release: () => lock[Symbol.asyncDispose](),
    };
  }

  async #commit(wanted: WantedBlob, lock: UploadLease, session: UploadSession): Promise<void> {
    await this.#uploading(wanted, lock, async (upload, file) => {
      try {
        await upload.finish(session);
      } catch (error) {
        if (isDigestInvalid(error)) await this.#explainRejection(wanted, file, error);
        throw error;
      }
    });
    await this.#sessions.forget(wanted);
    await lock[Symbol.asyncDispose]();
  }

  async #uploading<T>(
    wanted: WantedBlob,
    lock: UploadLease,
    task: (upload: Upload, file: BlobFile) => Promise<T>,
  ): Promise<T> {
    const { slots, pace, signal, progress } = this.#deps;
    let location: string | undefined;
    try {
      await using file = await this.#open(wanted);
      const ending = AbortSignal.any([signal, lock.signal]);
      using grace = new ShutdownGrace(ending);
      const upload = new Upload(wanted, {
        pushClient: await this.#deps.pushClient(),
        file,
        slots,
        pace,
        until: this.#options.until,
        ensureHeld: () => lock.ensureHeld(),
        signal: ending,
        requestSignal: grace.signal,
        onSession: async (session) => {
          this.#offset = session.offset;
          if (session.location !== location) await this.#sessions.store(wanted, session);
          location = session.location;
          progress(session.offset);
        },
      });
      return await task(upload, file);
    } catch (error) {
      const before = this.#confirmedOffset ?? 0;
      const gained = Math.max(0, this.#offset - before);
      this.#confirmedOffset = Math.max(before, this.#offset);
      if (!Fault.is(error, 'upload-unknown')) throw withGainedBytes(error, gained);
      await this.#sessions.forget(wanted);
      throw withGainedBytes(
        new Fault('unavailable', `${error.message}; restarting the upload`, { cause: error }),
        gained,
      );
    }
  }

  async #open({ repository, digest }: WantedBlob): Promise<BlobFile> {
    const { bus, volume } = this.#deps;
    for (let attempt = 1; ; attempt += 1) {
      const file = await volume.openBlob(await bus.call(locateBlob, { repository, digest }, PATIENCE));
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

  /**
   * The parent says that the content does not match its digest. A blob that is damaged here is left to the scrubber. An
   * intact one is sent again from byte 0, once.
   * @throws Fault `digest-invalid`, `unavailable` or `parent-invalid`, always
   */
  async #explainRejection(wanted: WantedBlob, file: BlobFile, cause: Fault): Promise<never> {
    const { digest, repository } = wanted;
    if ((await digestOf(file, wanted)) !== digest) {
      const message = `${digest} of ${repository} is damaged here: run terrace scrub, and push it again`;
      throw new Fault('digest-invalid', message, { cause });
    }
    await this.#sessions.forget(wanted);
    this.#offset = 0;
    const isFirst = !this.#wasRejected;
    this.#wasRejected = true;
    if (isFirst) throw new Fault('unavailable', `${cause.message}; sending it again`, { cause });
    throw new Fault('parent-invalid', `the parent does not store the content as sent: ${cause.message}`, {
      cause,
    });
  }
}

const isDigestInvalid = (error: unknown): error is Fault =>
  Fault.is(error, 'parent-refused') && error.detail?.reason === 'DIGEST_INVALID';

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
