import { isDeepStrictEqual } from 'node:util';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { type WebhookStatus, webhookChanged, webhookStatus } from '#proto/status/webhooks.ts';

/** While all goes well, how a webhook stands is told so often, in ms. */
const EVERY_MS = 1_000;

/** Says how one webhook stands, as a state on the bus; and when it begins or ends to fail, as an event. */
export class WebhookProgress {
  readonly #bus: Pick<Bus, 'put' | 'publish'>;
  readonly #key: string;
  readonly #log: Log;
  #now: WebhookStatus;
  #said: WebhookStatus | undefined;
  #saidAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    bus: Pick<Bus, 'put' | 'publish'>,
    key: string,
    name: string,
    log: Log,
    before?: WebhookStatus,
  ) {
    this.#bus = bus;
    this.#key = key;
    this.#log = log;
    const { state = 'Untried', told } = before ?? {};
    this.#now = {
      since: Date.now(),
      behind: 0,
      more: false,
      ...before,
      name,
      // That it is well, only it can tell.
      state: state === 'Online' && told === undefined ? 'Untried' : state,
    };
  }

  /** So many wait. */
  behind(behind: number, more: boolean): void {
    this.#now = { ...this.#now, behind, more };
    this.#later();
  }

  /** One was taken, and so many are left. */
  taken(behind: number, more: boolean): void {
    this.#enter('Online');
    const { failure: _failure, ...rest } = this.#now;
    this.#now = { ...rest, told: Date.now(), behind, more };
    this.#later();
  }

  failed(state: 'Failing' | 'Parked', failure: NonNullable<WebhookStatus['failure']>): void {
    this.#enter(state, failure.reason);
    this.#now = { ...this.#now, failure };
    this.#say();
  }

  /** Says what is not said yet. */
  end(): void {
    if (this.#timer) this.#say();
  }

  #enter(state: WebhookStatus['state'], reason?: string): void {
    if (state === this.#now.state) return;
    this.#now = { ...this.#now, state, since: Date.now() };
    this.#bus.publish(webhookChanged, { name: this.#now.name, state, ...(reason && { reason }) });
  }

  #later(): void {
    const ms = Math.max(0, this.#saidAt + EVERY_MS - Date.now());
    this.#timer ??= setTimeout(() => this.#say(), ms).unref();
  }

  #say(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#saidAt = Date.now();
    if (isDeepStrictEqual(this.#now, this.#said)) return;
    const now = this.#now;
    this.#said = now;
    this.#bus.put(webhookStatus, this.#key, now).catch((err) => {
      this.#said = undefined;
      this.#log.debug({ err }, 'how a webhook stands was not written');
    });
  }
}
