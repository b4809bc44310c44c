import { hostname } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import type { SyslogTarget } from '#proto/document/audit.ts';
import type { AuditForwarding as Status } from '#proto/status/audit-forwarding.ts';
import type { AuditFile } from '../audit/audit-file.ts';
import type { DeliveryDeps } from './delivery.ts';
import type { Forwarder, ForwarderTimes } from './forwarder.ts';
import type { StateDeps } from './forwarding-state.ts';

/*
 * Forwards the audit log to a syslog receiver, as the configuration says.
 *
 *   audit-forwarding.ts   starts and stops a forwarder; loads the others when a receiver is configured
 *   forwarder.ts          connects, sends what is new, and connects again
 *   forwarding-state.ts   state of the connection: log, event, status
 *   connection.ts         one connection, TLS or not
 *   kernel-queue.ts       what the kernel of the receiver has not acknowledged
 *   confirmations.ts      decides what is delivered
 *   delivery.ts           the position up to which entries are delivered, in the metadata; lost entries
 *   log-position.ts       positions in the files of the audit log
 *   log-reader.ts         reads lines from a position on
 *   syslog-message.ts     a line as a message
 *
 * The audit log is the spool: an entry is lost to the receiver only if its file is deleted before it was delivered.
 * After a kill or a failed connection, entries may be sent twice, with the same id. Storage never waits for the
 * receiver.
 */

export type ForwardingDeps = DeliveryDeps & StateDeps & { file: AuditFile; layer: string };

/** Forwards the audit log to the receiver that is configured, if any. */
export class AuditForwarding implements AsyncDisposable {
  readonly #deps: ForwardingDeps;
  #target: SyslogTarget | undefined;
  #forwarder: Forwarder | undefined;
  #end = new AbortController();
  #running = Promise.resolve();

  constructor(deps: ForwardingDeps) {
    this.#deps = deps;
  }

  /** Takes effect at once: another receiver continues where the one before ends. */
  configure(target: SyslogTarget | undefined, times: Partial<ForwarderTimes> = {}): void {
    if (isDeepStrictEqual(target, this.#target)) return;
    this.#target = target;
    this.#deps.file.retain(target?.spool ?? 0);
    this.#end.abort();
    this.#end = new AbortController();
    const { signal } = this.#end;
    const before = this.#running;
    this.#running = before
      .then(() => (target && !signal.aborted ? this.#run(target, times, signal) : undefined))
      .catch((err) => this.#deps.log.error({ err }, 'the audit log is not forwarded'));
  }

  /** Undefined if no receiver is configured. */
  status(): Status | undefined {
    return this.#forwarder?.status();
  }

  async #run(target: SyslogTarget, times: Partial<ForwarderTimes>, signal: AbortSignal): Promise<void> {
    const [{ Forwarder, TIMES }, { DeliveryRecord }] = await Promise.all([
      import('./forwarder.ts'),
      import('./delivery.ts'),
    ]);
    const delivery = await DeliveryRecord.open(this.#deps);
    const origin = { host: hostname(), process: String(process.pid) };
    const forwarder = new Forwarder({
      ...this.#deps,
      delivery,
      target,
      origin,
      times: { ...TIMES, ...times },
    });
    this.#forwarder = forwarder;
    try {
      await forwarder.run(signal);
    } finally {
      this.#forwarder = undefined;
    }
  }

  /** Sends the last entries, for a limited time. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#running;
  }
}
