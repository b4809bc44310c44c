import type { SyslogConnection } from './connection.ts';
import type { LogPosition } from './log-position.ts';

/** What counts as delivered. */

/** A position in the log whose entries the kernel has, and how many missing entries were reported before it. */
export type Checkpoint = { position: LogPosition; reported: number };
type Waiting = Checkpoint & { bytes: number; at: number };

export type ConfirmationTimes = {
  /** How long a connection must live after the other side acknowledged an entry, in ms. */
  settleMs: number;
  /** The same if acknowledgements can't be seen: after this, the kernel has given up a connection without a path. */
  unseenMs: number;
  /** A connection on which nothing is acknowledged for this time fails, in ms. */
  stallMs: number;
};

export type FollowedConnection = Pick<SyslogConnection, 'unacknowledged' | 'destroy'>;

/** Checkpoints in this time are one, in ms. */
const MERGE_MS = 250;

/**
 * Follows what was written to one connection. Syslog has no acknowledgements: an entry is delivered when the kernel of
 * the receiver acknowledged it and the connection did not fail within `settleMs`.
 */
export class Confirmations implements Disposable {
  readonly #connection: FollowedConnection;
  readonly #times: ConfirmationTimes;
  readonly #onConfirmed: (checkpoint: Checkpoint) => Promise<void>;
  readonly #waiting: Waiting[] = [];
  /** Bytes that the kernel took. Less than what it sends: TLS adds to them. */
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #progress = { acknowledged: 0, at: 0 };
  #ended = false;

  constructor(
    connection: FollowedConnection,
    times: ConfirmationTimes,
    onConfirmed: (checkpoint: Checkpoint) => Promise<void>,
  ) {
    this.#connection = connection;
    this.#times = times;
    this.#onConfirmed = onConfirmed;
  }

  /** The kernel has `bytes` more, up to a position. */
  taken(bytes: number, { position, reported }: Checkpoint): void {
    this.#bytes += bytes;
    const now = performance.now();
    const last = this.#waiting.at(-1);
    if (last && now - last.at < MERGE_MS) {
      last.position = position;
      last.reported += reported;
      last.bytes = this.#bytes;
    } else {
      this.#waiting.push({ position, reported, bytes: this.#bytes, at: now });
    }
    if (this.#timer === undefined) this.#progress = { ...this.#progress, at: now };
    this.#arm();
  }

  /** Everything taken is delivered. */
  async all(): Promise<void> {
    await this.#confirm(this.#waiting.length);
  }

  #arm(): void {
    if (this.#ended || this.#waiting.length === 0) return;
    this.#timer ??= setTimeout(() => {
      this.#check()
        .catch((error) => this.#connection.destroy(error))
        .finally(() => {
          this.#timer = undefined;
          this.#arm();
        });
    }, this.#times.settleMs + MERGE_MS).unref();
  }

  async #check(): Promise<void> {
    const { settleMs, unseenMs, stallMs } = this.#times;
    // Before the queue is read: what is taken meanwhile is not counted as acknowledged.
    const [taken, now] = [this.#bytes, performance.now()];
    const queue = await this.#connection.unacknowledged();
    if (this.#ended) return;
    const acknowledged = queue === undefined ? taken : taken - queue;
    const waitMs = queue === undefined ? unseenMs : settleMs;
    // MERGE_MS: a checkpoint is as old as the first of those that are one.
    // A receiver that has stopped reading goes on to acknowledge what fits into its kernel: while the queue is not
    // empty, only what was acknowledged at the check before is delivered, and only if more was since.
    const { acknowledged: before } = this.#progress;
    const delivered = queue === 0 || queue === undefined ? taken : acknowledged > before ? before : 0;
    const isDelivered = ({ bytes, at }: Waiting) => bytes <= delivered && now - at >= waitMs + MERGE_MS;
    const next = this.#waiting.findIndex((one) => !isDelivered(one));
    await this.#confirm(next < 0 ? this.#waiting.length : next);
    if (queue === undefined || queue === 0 || acknowledged > this.#progress.acknowledged) {
      this.#progress = { acknowledged, at: now };
    } else if (now - this.#progress.at >= stallMs) {
      const seconds = Math.round((now - this.#progress.at) / 1_000);
      this.#connection.destroy(new Error(`the receiver took nothing for ${seconds} s`));
    }
  }

  async #confirm(count: number): Promise<void> {
    if (count === 0) return;
    const confirmed = this.#waiting.splice(0, count);
    const { position } = confirmed.at(-1) as Waiting;
    const reported = confirmed.reduce((sum, one) => sum + one.reported, 0);
    await this.#onConfirmed({ position, reported });
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }
}
