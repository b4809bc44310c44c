import { setTimeout as sleep } from 'node:timers/promises';
import { type Backoff, backoffMs } from '#proto/async/backoff.ts';
import { orAborted } from '#proto/async/unless-aborted.ts';
import type { SyslogTarget } from '#proto/document/audit.ts';
import type { AuditForwarding } from '#proto/status/audit-forwarding.ts';
import type { AuditFile } from '../audit/audit-file.ts';
import { readLine } from '../audit/audit-line.ts';
import { Confirmations, type ConfirmationTimes } from './confirmations.ts';
import { failureText, SyslogConnection } from './connection.ts';
import type { DeliveryRecord } from './delivery.ts';
import { ForwardingState, type StateDeps } from './forwarding-state.ts';
import { AuditLogReader } from './log-reader.ts';
import { framed, lossMessage, type SyslogOrigin, syslogMessage } from './syslog-message.ts';

export const TIMES = {
  connectMs: 10_000,
  settleMs: 5_000,
  unseenMs: 16 * 60_000,
  stallMs: 120_000,
  /** After this time, a connection counts as connected, and a failure as the first one. */
  stableMs: 1_000,
  /** Max time for the last entries when the service ends or the receiver changes. */
  flushMs: 1_000,
  retry: { firstMs: 1_000, maxMs: 60_000 } as Backoff,
};
export type ForwarderTimes = typeof TIMES & ConfirmationTimes;

export type ForwarderDeps = StateDeps & {
  file: AuditFile;
  delivery: DeliveryRecord;
  target: SyslogTarget;
  layer: string;
  origin: Omit<SyslogOrigin, 'facility'>;
  times: ForwarderTimes;
};

/** Forwards the audit log to one receiver. It reads the log while it sends; nothing else is held in memory. */
export class Forwarder {
  readonly #deps: ForwarderDeps;
  readonly #state: ForwardingState;
  #news = Promise.withResolvers<void>();
  /** Number of the last entry that the kernel has, while connected. */
  #sent: number | undefined;
  #checked = Promise.resolve();

  constructor(deps: ForwarderDeps) {
    this.#deps = deps;
    this.#state = new ForwardingState(deps.target, deps);
  }

  status(): AuditForwarding {
    const { delivery, file, target } = this.#deps;
    const sent = Math.max(this.#sent ?? 0, delivery.position?.number ?? 0);
    const lost = delivery.lossToShow();
    return {
      receiver: this.#state.receiver,
      tls: target.tls,
      ...this.#state.current,
      waiting: Math.max(0, file.lastNumber - sent),
      ...(lost && { lost }),
    };
  }

  /** Runs until `signal` aborts; then sends what is left, for a limited time. */
  async run(signal: AbortSignal): Promise<void> {
    const { file, times, target } = this.#deps;
    const unsubscribe = file.onAppend((rotated) => {
      this.#news.resolve();
      if (rotated && this.#sent === undefined) void this.#checkOverrun();
    });
    try {
      await this.#checkOverrun();
      for (let failures = 0; !signal.aborted; ) {
        let connectedAt: number | undefined;
        try {
          await using connection = await SyslogConnection.connect(target, times.connectMs, signal);
          connectedAt = performance.now();
          await this.#session(connection, signal);
        } catch (error) {
          if (signal.aborted) return;
          const isStable = connectedAt !== undefined && performance.now() - connectedAt >= times.stableMs;
          failures = isStable ? 1 : failures + 1;
          const waitMs = backoffMs(failures, times.retry);
          this.#state.away(failureText(error), waitMs);
          await this.#checkOverrun();
          await sleep(waitMs, undefined, { signal, ref: false }).catch(() => {});
        }
      }
    } finally {
      unsubscribe();
    }
  }

  /** Sends until the signal aborts. @throws the cause of the end of the connection */
  async #session(connection: SyslogConnection, signal: AbortSignal): Promise<void> {
    const { file, delivery, times } = this.#deps;
    // From here on, the reader finds what is lost.
    this.#sent = delivery.position?.number ?? 0;
    await this.#checked;
    await using reader = new AuditLogReader(file, delivery.position);
    using confirmations = new Confirmations(connection, times, (checkpoint) => delivery.confirm(checkpoint));
    // A receiver that refuses the client's certificate ends the connection after it was made (TLS 1.3).
    const stable = setTimeout(() => this.#state.connected(), times.stableMs).unref();
    const flush = () => {
      setTimeout(() => connection.destroy(new Error('ended')), times.flushMs).unref();
    };
    signal.addEventListener('abort', flush, { once: true });
    if (signal.aborted) flush();
    try {
      await this.#send(connection, reader, confirmations, signal);
      if (await connection.end()) await confirmations.all();
    } finally {
      this.#sent = undefined;
      clearTimeout(stable);
      signal.removeEventListener('abort', flush);
    }
  }

  async #send(
    connection: SyslogConnection,
    reader: AuditLogReader,
    confirmations: Confirmations,
    signal: AbortSignal,
  ): Promise<void> {
    const { delivery, target, layer } = this.#deps;
    const origin = { ...this.#deps.origin, facility: target.facility };
    let failure: Error | undefined;
    void connection.closed.then((cause) => {
      failure = cause;
      this.#news.resolve();
    });
    let unreported = delivery.unreported;
    for (;;) {
      this.#news = Promise.withResolvers();
      const batch = await reader.next();
      if (!batch) {
        if (failure) throw failure;
        if (signal.aborted) return;
        await orAborted(signal, this.#news.promise);
        continue;
      }
      if (batch.lost) {
        const { count, position } = batch.lost;
        await delivery.addLoss(count, position);
        this.#state.lost(count);
        unreported += count;
      }
      const messages = batch.lines.map((line) => syslogMessage(readLine(line), origin));
      if (unreported > 0) {
        messages.unshift(lossMessage({ count: unreported, at: delivery.lostAt, layer }, origin));
      }
      const bytes = Buffer.concat(messages.map(framed));
      await this.#write(connection, bytes);
      this.#sent = batch.position.number;
      confirmations.taken(bytes.byteLength, { position: batch.position, reported: unreported });
      unreported = 0;
    }
  }

  /** A receiver that takes nothing must not hold the connection for ever. */
  async #write(connection: SyslogConnection, bytes: Buffer): Promise<void> {
    const { stallMs } = this.#deps.times;
    const stalled = new Error(`the receiver took nothing for ${Math.round(stallMs / 1_000)} s`);
    const timer = setTimeout(() => connection.destroy(stalled), stallMs).unref();
    try {
      await connection.write(bytes);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Without a connection: whether entries that the receiver does not have were deleted. One at a time. */
  #checkOverrun(): Promise<void> {
    const { delivery, file, log } = this.#deps;
    const check = async () => {
      const lost = await delivery.locate(file);
      if (lost > 0) this.#state.lost(lost);
    };
    this.#checked = this.#checked
      .then(check)
      .catch((err) => log.debug({ err }, 'position in the audit log could not be checked'));
    return this.#checked;
  }
}
