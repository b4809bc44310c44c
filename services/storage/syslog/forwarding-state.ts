import type { EventPublisher } from '#proto/bus/roles.ts';
import { clip } from '#proto/contract/clip.ts';
import { MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { SyslogTarget } from '#proto/document/audit.ts';
import { type AuditForwarding, forwardingChanged } from '#proto/status/audit-forwarding.ts';

export type StateDeps = {
  publish: EventPublisher['publish'];
  log: Log;
  /** Wall clock, in ms since 1970. */
  now: () => number;
};

/** State of the connection to the receiver: each change has a line in the log and an event. */
export class ForwardingState {
  readonly #deps: StateDeps;
  readonly receiver: string;
  #state: Pick<AuditForwarding, 'state' | 'since' | 'reason' | 'next'>;

  constructor({ host, port, tls }: SyslogTarget, deps: StateDeps) {
    this.#deps = deps;
    this.receiver = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    this.#state = { state: 'Connecting', since: deps.now() };
    const receiver = { receiver: this.receiver, tls };
    if (tls) deps.log.info(receiver, 'the audit log is forwarded');
    else deps.log.warn(receiver, 'the audit log is forwarded without TLS: others can read and change it');
  }

  get current(): Pick<AuditForwarding, 'state' | 'since' | 'reason' | 'next'> {
    return this.#state;
  }

  connected(): void {
    const { log, publish, now } = this.#deps;
    const { receiver } = this;
    this.#state = { state: 'Connected', since: now() };
    log.info({ receiver, notice: true }, 'connected to the syslog receiver');
    publish(forwardingChanged, { receiver, state: 'Connected' });
  }

  /** @param waitMs time until the next attempt */
  away(cause: string, waitMs: number): void {
    const { log, publish, now } = this.#deps;
    const { receiver } = this;
    const reason = clip(cause, MAX_REASON_LENGTH);
    const before = this.#state;
    const isNew = before.state !== 'Away';
    this.#state = {
      state: 'Away',
      since: isNew ? now() : before.since,
      reason,
      next: Math.round(now() + waitMs),
    };
    if (!isNew && before.reason === reason) return;
    log.warn({ receiver, reason }, 'the syslog receiver is away; audit entries wait');
    if (isNew) publish(forwardingChanged, { receiver, state: 'Away', reason });
  }

  lost(count: number): void {
    const { log, publish } = this.#deps;
    const { receiver } = this;
    const { state, reason } = this.#state;
    log.error({ receiver, lost: count }, 'audit entries were deleted before the syslog receiver had them');
    publish(forwardingChanged, { receiver, state, lost: count, ...(reason !== undefined && { reason }) });
  }
}
