import { createHash } from 'node:crypto';
import type { Bus, Log } from '#proto/bus/bus.ts';
import type { Receiver } from '#proto/document/notifications.ts';
import { getWebhookPlace, keepWebhookPlace, retainWebhooks, webhookStatus } from '#proto/status/webhooks.ts';
import type { FencedBus } from '../leadership/fenced-bus.ts';
import { Post } from './post.ts';
import { WebhookProgress } from './standing.ts';
import { type TellerDeps, tell } from './teller.ts';

export type WebhooksDeps = {
  bus: Bus;
  /** With the term of whoever makes the passes. */
  fencedBus: Pick<FencedBus, 'call'>;
  /** Those of the configuration in force. */
  receivers: () => Receiver[];
  layer: string;
  log: Log;
  times?: TellerDeps['times'];
  answerMs?: number;
};

type Running = { print: string; end: AbortController; ended: Promise<void> };

/**
 * Tells every webhook of the configuration what happens, each at its own pace, until `signal` ends it. Neither the
 * window nor the bandwidth of the link says anything of them: where a receiver is nobody knows, and most are near.
 */
export class WebhookTasks {
  readonly #deps: WebhooksDeps;
  readonly #signal: AbortSignal;
  readonly #running = new Map<string, Running>();

  constructor(deps: WebhooksDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#set(false);
  }

  /** There may be others now. */
  reconfigured(): void {
    this.#set(true);
  }

  /** Resolves when nobody is told anything any more. */
  async ended(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  #set(fresh: boolean): void {
    if (this.#signal.aborted) return;
    const wanted = new Map(this.#deps.receivers().map((to) => [keyOf(to), to]));
    for (const [key, { end }] of this.#running) {
      if (!wanted.has(key)) end.abort(new Error('the webhook is not configured any more'));
    }
    for (const [key, to] of wanted) {
      const before = this.#running.get(key);
      const print = JSON.stringify(to);
      if (before?.print === print && !before.end.signal.aborted) continue;
      before?.end.abort(new Error('the webhook is another now'));
      const end = new AbortController();
      const until = AbortSignal.any([this.#signal, end.signal]);
      const ended = (before?.ended ?? Promise.resolve())
        .then(() => this.#tell(key, to, fresh, until))
        .catch((err) => this.#deps.log.error({ err, webhook: to.name }, 'a webhook is not told any more'));
      this.#running.set(key, { print, end, ended });
    }
    void this.#tidy([...wanted.keys()]).catch((err) =>
      this.#deps.log.debug({ err }, 'what was known of other webhooks stays for now'),
    );
  }

  async #tell(key: string, to: Receiver, fresh: boolean, signal: AbortSignal): Promise<void> {
    const { bus, fencedBus, layer, log, times, answerMs } = this.#deps;
    const before = await bus.get(webhookStatus, key).catch(() => undefined);
    if (signal.aborted) return;
    const progress = new WebhookProgress(bus, key, to.name, log, before?.value);
    await using post = new Post(to, answerMs);
    const places = {
      get: async () => (await fencedBus.call(getWebhookPlace, { of: key }, { signal })).place,
      keep: async (place: Parameters<TellerDeps['places']['keep']>[0]) => {
        await fencedBus.call(keepWebhookPlace, { of: key, place });
      },
    };
    await tell({ bus, places, to, post, progress, layer, fresh, log, ...(times && { times }) }, signal);
    progress.end();
  }

  async #tidy(keys: string[]): Promise<void> {
    const { bus, fencedBus } = this.#deps;
    await fencedBus.call(retainWebhooks, { of: keys });
    for (const key of (await bus.list(webhookStatus)).keys()) {
      if (!keys.includes(key)) await bus.remove(webhookStatus, key);
    }
  }
}

export const keyOf = ({ name, url }: Receiver): string =>
  createHash('sha256').update(`${name}\n${url}`).digest('hex').slice(0, 32);
