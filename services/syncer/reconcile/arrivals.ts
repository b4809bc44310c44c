import { setTimeout as sleep } from 'node:timers/promises';
import type { Static } from '@sinclair/typebox';
import { missingBlobs } from '#proto/blobs.ts';
import type { Bus, Log } from '#proto/bus.ts';
import { Fault, fromWire } from '#proto/fault.ts';
import type { Digest } from '#proto/names.ts';
import { transferBlob, transferFailed, transferFinished } from '#proto/transfers.ts';

type Body = Static<typeof transferBlob.body>;
type Waiting = {
  body: Body;
  /** How often it was wished for again. */
  wishes: number;
  arrived: () => void;
  failed: (fault: Fault) => void;
  result: Promise<void>;
};

/** How often storage is asked for what no event has told, in ms. */
const LOOK_MS = 5_000;
/** How often a wish is made again that neither the queue nor storage knows of. */
const MOST_WISHES = 5;

/**
 * Wishes for blobs, and waits for them. Events tell at once when one has come or failed; storage is the truth, and is
 * asked now and then, because an event may be lost; and a queue that was lost is filled again.
 */
export class Arrivals implements Disposable {
  readonly #bus: Bus;
  readonly #log: Log;
  readonly #pass: string;
  readonly #signal: AbortSignal;
  readonly #waiting = new Map<Digest, Waiting>();
  readonly #ends: (() => void)[];

  constructor(bus: Bus, log: Log, pass: string, signal: AbortSignal) {
    this.#bus = bus;
    this.#log = log;
    this.#pass = pass;
    this.#signal = signal;
    this.#ends = [
      bus.listen(transferFinished, ({ data }) => this.#waiting.get(data.digest)?.arrived()),
      bus.listen(transferFailed, ({ data: { digest, pass, code, reason } }) => {
        if (pass === this.#pass) this.#waiting.get(digest)?.failed(fromWire({ code, message: reason }));
      }),
    ];
    const abort = () => {
      for (const { failed } of this.#waiting.values()) failed(new Fault('unavailable', 'the pass was ended'));
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#ends.push(() => signal.removeEventListener('abort', abort));
    void this.#look();
  }

  /** Resolves when the blob is committed; several may wait for the same. @throws Fault where its transfer failed */
  async bring(wanted: Omit<Body, 'pass' | 'direction'>): Promise<void> {
    // Nobody would end the wait: the abort has been told.
    this.#signal.throwIfAborted();
    const known = this.#waiting.get(wanted.digest);
    if (known) {
      return known.result.catch((fault) => {
        // What one repository does not give, another one may.
        const own = known.body.repository === wanted.repository;
        if (own || !Fault.is(fault, 'blob-unknown', 'parent-refused')) throw fault;
        return this.bring(wanted);
      });
    }
    const body: Body = { ...wanted, direction: 'down', pass: this.#pass };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => {});
    const end = () => this.#waiting.delete(wanted.digest);
    this.#waiting.set(wanted.digest, {
      body,
      wishes: 0,
      result: promise,
      arrived: () => {
        end();
        resolve();
      },
      failed: (fault) => {
        end();
        reject(fault);
      },
    });
    await this.#wish(body);
    return promise;
  }

  [Symbol.dispose](): void {
    for (const end of this.#ends) end();
    this.#ends.length = 0;
  }

  /** A wish that the queue does not take now is made again by `#look`. */
  async #wish(body: Body): Promise<void> {
    await this.#bus
      .submit(transferBlob, body)
      .catch((err) => this.#log.warn({ err }, 'the queue takes no jobs'));
  }

  async #look(): Promise<void> {
    let idle = 0;
    while (this.#ends.length > 0 && !this.#signal.aborted) {
      await sleep(LOOK_MS, undefined, { signal: this.#signal, ref: false }).catch(() => {});
      const digests = [...this.#waiting.keys()].slice(0, 1_000);
      if (digests.length === 0) continue;
      try {
        const missing = new Set((await this.#bus.call(missingBlobs, { digests })).digests);
        for (const digest of digests) if (!missing.has(digest)) this.#waiting.get(digest)?.arrived();
        idle = (await this.#bus.backlog('transfers')) === 0 ? idle + 1 : 0;
        // Twice in a row: between two looks a job may have been taken, done and told.
        if (idle >= 2) await this.#again();
      } catch (err) {
        this.#log.debug({ err }, 'storage or the queue can not be asked now');
      }
    }
  }

  async #again(): Promise<void> {
    const waiting = [...this.#waiting.values()];
    this.#log.warn({ blobs: waiting.length }, 'the queue has lost jobs');
    for (const one of waiting) {
      one.wishes += 1;
      if (one.wishes > MOST_WISHES) one.failed(new Fault('unavailable', `nobody brings ${one.body.digest}`));
      else await this.#wish(one.body);
    }
  }
}
