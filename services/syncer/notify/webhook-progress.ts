import { isDeepStrictEqual } from 'node:util';
import type { Log } from '#proto/bus/bus.ts';
import type { EventPublisher, StateWriter } from '#proto/bus/roles.ts';
import { type WebhookStatus, webhookChanged, webhookStatus } from '#proto/status/webhooks.ts';

/** Min interval between writes of the status while deliveries succeed, in ms. */
const MIN_INTERVAL_MS = 1_000;

/** Publishes the status of one webhook: as a state on the bus, and changes of its `state` as an event. */
export class WebhookProgress {
  readonly #bus: StateWriter & EventPublisher;
  readonly #key: string;
  readonly #log: Log;
  #status: WebhookStatus;
  #written: WebhookStatus | undefined;
  /** By `performance.now()`. */
  #writtenAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(
    bus: StateWriter & EventPublisher,
    key: string,
    name: string,
    log: Log,
    before?: WebhookStatus,
  ) {
    this.#bus = bus;
    this.#key = key;
    this.#log = log;
    const { state = 'Untried', acceptedAt: lastDelivery } = before ?? {};
    this.#status = {
      since: Date.now(),
      behind: 0,
      more: false,
      ...before,
      name,
      // Only an accepted event proves that it is online.
      state: state === 'Online' && lastDelivery === undefined ? 'Untried' : state,
    };
  }

  /** `behind` events wait for it; `more`: at least that many. */
  behind(behind: number, more: boolean): void {
    this.#status = { ...this.#status, behind, more };
    this.#schedule();
  }

  /** It accepted an event; `behind` events are left. */
  accepted(behind: number, more: boolean): void {
    this.#enter('Online');
    const { failure: _failure, ...status } = this.#status;
    this.#status = { ...status, acceptedAt: Date.now(), behind, more };
    this.#schedule();
  }

  failed(state: 'Failing' | 'Parked', failure: NonNullable<WebhookStatus['failure']>): void {
    this.#enter(state, failure.reason);
    this.#status = { ...this.#status, failure };
    this.#write();
  }

  /** Writes a pending status at once. */
  end(): void {
    this.#ended = true;
    if (this.#timer) this.#write();
  }

  #enter(state: WebhookStatus['state'], reason?: string): void {
    if (state === this.#status.state) return;
    this.#status = { ...this.#status, state, since: Date.now() };
    this.#bus.publish(webhookChanged, { name: this.#status.name, state, ...(reason && { reason }) });
  }

  #schedule(): void {
    const ms = Math.max(0, this.#writtenAt + MIN_INTERVAL_MS - performance.now());
    this.#timer ??= setTimeout(() => this.#write(), ms).unref();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writtenAt = performance.now();
    if (isDeepStrictEqual(this.#status, this.#written)) return;
    const status = this.#status;
    this.#written = status;
    this.#bus.put(webhookStatus, this.#key, status).catch((err) => {
      this.#written = undefined;
      this.#log.debug({ err }, 'failed to write the webhook status');
      if (!this.#ended) this.#schedule();
    });
  }
}
