import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs, jittered } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import { type Gap, historyLost } from '#proto/bus/history.ts';
import type { EventListener, HistoryReader, NewsListener } from '#proto/bus/roles.ts';
import {
  manifestCommitted,
  manifestDeleted,
  storageStarted,
  tagDeleted,
  tagMoved,
} from '#proto/content/content-events.ts';
import { configurationChanged } from '#proto/document/configuration.ts';
import type { Receiver } from '#proto/document/notifications.ts';
import { isInStream, type StreamBounds } from '#proto/jetstream/archive.ts';
import type { WebhookPosition } from '#proto/status/webhooks.ts';
import { lossOf, noticeOf, type WebhookNotice } from './notice.ts';
import type { NoticeSender } from './post.ts';
import { deliveryWait } from './verdict.ts';
import type { WebhookProgress } from './webhook-progress.ts';

export const TIMES = {
  /** Wait after news, so that several events are read together. */
  gatherMs: 200,
  /** Poll interval without news; `soonMs`: after news for which the stream had nothing yet. */
  pollMs: 30_000,
  soonMs: 1_000,
  /** Retry interval of a receiver that answered 410 (Gone). */
  parkedMs: 60 * 60_000,
  deliveryWait,
};

/** Max notices per round. */
const MAX_BATCH = 200;
const RETRY = { firstMs: 1_000, maxMs: 30_000 };

export type DeliveryDeps = {
  bus: HistoryReader & EventListener & NewsListener;
  positions: { get(): Promise<WebhookPosition | undefined>; store(position: WebhookPosition): Promise<void> };
  to: Receiver;
  post: NoticeSender;
  progress: WebhookProgress;
  /** Name of this layer. */
  layer: string;
  /** The webhook has just been configured: earlier events are not for it. */
  fresh: boolean;
  log: Log;
  times?: typeof TIMES;
};

type Waiting = { notice: WebhookNotice; position: WebhookPosition };

/**
 * Delivers events to one receiver, in order and one at a time, until `signal` aborts. The position is stored after each
 * delivery, so a killed process causes at most one duplicate: the event that was in flight.
 */
export async function deliverEvents(deps: DeliveryDeps, signal: AbortSignal): Promise<void> {
  const { log, to, times = TIMES } = deps;
  const delivery = new Delivery(deps);
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  let news = Promise.withResolvers<boolean>();
  const unsubscribe = subscribe(deps, () => news.resolve(true));
  let failures = 0;
  let hasNews = false;
  try {
    while (!signal.aborted) {
      news = Promise.withResolvers();
      let waitMs = jittered(times.pollMs);
      try {
        const result = await delivery.round(signal);
        failures = 0;
        if (typeof result === 'object') {
          await pause(result.waitMs);
          continue;
        }
        if (result === 'more') continue;
        if (result === 'nothing' && hasNews) waitMs = jittered(times.soonMs);
      } catch (err) {
        if (signal.aborted) return;
        failures += 1;
        waitMs = backoffMs(failures, RETRY);
        log.debug({ err, webhook: to.name, ms: waitMs }, 'failed to read events for a webhook; retrying');
      }
      hasNews = (await Promise.race([news.promise, pause(waitMs)])) ?? false;
      if (hasNews) await pause(jittered(times.gatherMs));
    }
  } finally {
    unsubscribe();
  }
}

class Delivery {
  readonly #deps: DeliveryDeps;
  #position: WebhookPosition | undefined;
  #stored: WebhookPosition | undefined;
  #failures = 0;

  constructor(deps: DeliveryDeps) {
    this.#deps = deps;
  }

  /** @throws Fault if the bus or storage does not answer */
  async round(signal: AbortSignal): Promise<'nothing' | 'all' | 'more' | { waitMs: number }> {
    const { bus, progress } = this.#deps;
    const stream = await bus.archive.bounds();
    const position = await this.#currentPosition(stream);
    await this.#store();
    const { waiting, end, more } = await this.#read(position, stream, signal);
    for (const [index, { notice, position: reached }] of waiting.entries()) {
      signal.throwIfAborted();
      progress.behind(waiting.length - index, more);
      const verdict = await this.#deps.post.send(notice, signal);
      if (verdict.kind !== 'accepted') return { waitMs: this.#failed(verdict) };
      this.#failures = 0;
      this.#position = reached;
      await this.#store();
      progress.accepted(waiting.length - index - 1, more);
    }
    this.#position = end;
    await this.#store();
    if (waiting.length === 0 && !more) progress.behind(0, false);
    return more ? 'more' : waiting.length > 0 ? 'all' : 'nothing';
  }

  #failed(verdict: Exclude<Awaited<ReturnType<NoticeSender['send']>>, { kind: 'accepted' }>): number {
    const { log, to, progress, times = TIMES } = this.#deps;
    this.#failures += 1;
    const { kind, reason } = verdict;
    const isParked = kind === 'removed';
    const waitMs = isParked
      ? Math.round(jittered(times.parkedMs))
      : times.deliveryWait(this.#failures, verdict.afterMs);
    const next = Date.now() + waitMs;
    progress.failed(isParked ? 'Parked' : 'Failing', { reason, attempts: this.#failures, next });
    log.warn({ webhook: to.name, reason, attempts: this.#failures, ms: waitMs }, 'webhook delivery failed');
    return waitMs;
  }

  /** The position up to which events were handled; if none is stored, the start. */
  async #currentPosition(stream: StreamBounds): Promise<WebhookPosition> {
    const { positions } = this.#deps;
    if (this.#position) return this.#position;
    this.#position = this.#stored = await positions.get();
    this.#position ??= await this.#start(stream);
    return this.#position;
  }

  /**
   * Where a webhook without a stored position starts: now if it has just been configured, else at the last start of
   * storage or change of the configuration, whichever is later, as far as the stream has one.
   */
  async #start({ made, last }: StreamBounds): Promise<WebhookPosition> {
    const { bus, fresh } = this.#deps;
    let sequence = last;
    if (!fresh) {
      const types = [storageStarted, configurationChanged].map(({ type }) => `events.${type}`);
      const starts = await Promise.all(types.map((subject) => bus.archive.last(subject)));
      sequence = starts.reduce<number>((max, start) => Math.max(max, start ?? 0), 0) || last;
    }
    // If the bus does not answer, the next round asks again: a position without the id of an event would count as lost.
    return { made, sequence, id: (await bus.archive.idAt(sequence || 1)) ?? '' };
  }

  async #store(): Promise<void> {
    const position = this.#position;
    if (!position || position === this.#stored) return;
    await this.#deps.positions.store(position);
    this.#stored = position;
  }

  /** Notices after the position, at most `MAX_BATCH`; `end`: the position up to which events were read. */
  async #read(
    position: WebhookPosition,
    stream: StreamBounds,
    signal: AbortSignal,
  ): Promise<{ waiting: Waiting[]; end: WebhookPosition; more: boolean }> {
    const { bus, to, layer } = this.#deps;
    const { made } = stream;
    const waiting: Waiting[] = [];
    let end = position;
    const addGap = (gap: Gap, sequence: number) => {
      end = { made, sequence, id: '' };
      waiting.push({ notice: lossOf(gap, made, layer), position: end });
    };
    if (!(await isInStream(this.#deps.bus.archive, position, stream))) {
      addGap({ from: position.sequence + 1, reason: 'lost' }, stream.first - 1);
    }
    for await (const past of bus.history({ since: end.sequence + 1, signal })) {
      if ('gap' in past) {
        // When events are trimmed, an event says so: its notice suffices.
        if (past.gap.reason === 'trimmed') {
          end = { made, sequence: past.gap.to as number, id: '' };
          continue;
        }
        // The next round reads the new stream.
        if (past.gap.reason === 'lost') return { waiting, end, more: true };
        addGap(past.gap, past.gap.to as number);
        continue;
      }
      end = { made, sequence: past.sequence, id: past.event.id };
      const notice = noticeOf(past, to);
      if (notice) waiting.push({ notice, position: end });
      if (waiting.length >= MAX_BATCH) return { waiting, end, more: past.sequence < stream.last };
    }
    return { waiting, end, more: false };
  }
}

/** Calls `onNews` when an event may have to be delivered. @returns a function that ends it */
function subscribe({ bus, to }: DeliveryDeps, onNews: () => void): () => void {
  if (to.below) return bus.onNews(onNews);
  const types = [tagMoved, tagDeleted, manifestCommitted, manifestDeleted, historyLost];
  const cleanups = types.map((type) => bus.listen(type as typeof tagMoved, onNews));
  return () => {
    for (const cleanup of cleanups) cleanup();
  };
}
