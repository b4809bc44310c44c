import { createHash } from 'node:crypto';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import type { BusCaller } from '#proto/bus/roles.ts';
import type { Receiver } from '#proto/document/notifications.ts';
import {
  getWebhookPosition,
  retainWebhooks,
  storeWebhookPosition,
  webhookStatus,
} from '#proto/status/webhooks.ts';
import { type DeliveryDeps, deliverEvents } from './delivery.ts';
import { WebhookProgress } from './webhook-progress.ts';

/**
 * Delivery of events to webhooks. Runs in the coordinator only.
 *
 * Each configured webhook has a task of its own, which lasts until its settings change or the term ends. The task
 * (`delivery.ts`) reads the event history from the webhook's position, turns each selected event into a CloudEvent
 * (`notice.ts`), signs and posts it (`post.ts`, `signature.ts`), and stores the new position at storage once it was
 * accepted. Otherwise `verdict.ts` decides when the same event is sent again: no later event overtakes it.
 * `webhook-progress.ts` publishes the status of the webhook.
 */

export type WebhooksDeps = {
  bus: Bus;
  /** The bus with the term of the coordinator. */
  fencedBus: BusCaller;
  /** Receivers in the configuration in force. */
  receivers: () => Receiver[];
  layer: string;
  log: Log;
  times?: DeliveryDeps['times'];
  answerMs?: number;
};

type Task = { settings: string; end: AbortController; ended: Promise<void> };

/**
 * Runs a task per configured webhook until `signal` aborts. The window and the bandwidth limit of the link do not apply
 * to it: a receiver may be anywhere, and most are on the local network.
 */
export class WebhookTasks {
  readonly #deps: WebhooksDeps;
  readonly #signal: AbortSignal;
  readonly #tasks = new Map<string, Task>();
  readonly #deliveries = new KeyedLock();

  constructor(deps: WebhooksDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#apply(false);
  }

  /** To be called when the configured webhooks may have changed. */
  reconfigured(): void {
    this.#apply(true);
  }

  /** Resolves when all tasks have ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.#tasks.values()].map(({ ended }) => ended));
  }

  #apply(fresh: boolean): void {
    if (this.#signal.aborted) return;
    const wanted = new Map(this.#deps.receivers().map((to) => [receiverKey(to), to]));
    for (const [key, { end }] of this.#tasks) {
      if (!wanted.has(key)) end.abort(new Error('the webhook is no longer configured'));
    }
    for (const [key, to] of wanted) {
      const before = this.#tasks.get(key);
      const settings = JSON.stringify(to);
      if (before?.settings === settings && !before.end.signal.aborted) continue;
      before?.end.abort(new Error('the webhook was reconfigured'));
      const end = new AbortController();
      const either = AbortSignal.any([this.#signal, end.signal]);
      // Its earlier task ends first.
      const ended = this.#deliveries
        .run(key, () => this.#deliver(key, to, fresh, either))
        .catch((err) => this.#deps.log.error({ err, webhook: to.name }, 'webhook delivery stopped'));
      this.#tasks.set(key, { settings, end, ended });
    }
    void this.#prune([...wanted.keys()]).catch((err) =>
      this.#deps.log.debug({ err }, 'failed to delete the state of webhooks that are no longer configured'),
    );
  }

  async #deliver(key: string, to: Receiver, fresh: boolean, signal: AbortSignal): Promise<void> {
    const { bus, fencedBus, layer, log, times, answerMs } = this.#deps;
    const before = await bus.get(webhookStatus, key).catch(() => undefined);
    if (signal.aborted) return;
    const progress = new WebhookProgress(bus, key, to.name, log, before?.value);
    // Loaded on demand: with undici, it takes some MB.
    const { WebhookPost } = await import('./post.ts');
    await using post = new WebhookPost(to, answerMs);
    const positions = {
      get: async () => (await fencedBus.call(getWebhookPosition, { webhook: key }, { signal })).place,
      store: async (position: Parameters<DeliveryDeps['positions']['store']>[0]) => {
        await fencedBus.call(storeWebhookPosition, { webhook: key, place: position });
      },
    };
    await deliverEvents(
      { bus, positions, to, post, progress, layer, fresh, log, ...(times && { times }) },
      signal,
    );
    progress.end();
  }

  async #prune(keys: string[]): Promise<void> {
    const { bus, fencedBus } = this.#deps;
    await fencedBus.call(retainWebhooks, { webhooks: keys });
    for (const key of (await bus.list(webhookStatus)).keys()) {
      if (!keys.includes(key)) await bus.remove(webhookStatus, key);
    }
  }
}

export const receiverKey = ({ name, url }: Receiver): string =>
  createHash('sha256').update(`${name}\n${url}`).digest('hex').slice(0, 32);
