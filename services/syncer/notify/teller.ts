import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs, jittered } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { type Gap, historyLost } from '#proto/bus/history.ts';
import {
  manifestCommitted,
  manifestDeleted,
  storageStarted,
  tagDeleted,
  tagMoved,
} from '#proto/content/content-events.ts';
import { configurationChanged } from '#proto/document/configuration.ts';
import type { Receiver } from '#proto/document/notifications.ts';
import type { Kept } from '#proto/jetstream/archive.ts';
import type { WebhookPlace } from '#proto/status/webhooks.ts';
import { lossOf, type Notice, noticeOf } from './notice.ts';
import type { Post } from './post.ts';
import type { WebhookProgress } from './standing.ts';
import { waitAfter } from './verdict.ts';

export const TIMES = {
  /** Events of so long are read together. */
  gatherMs: 200,
  /** The stream is looked at so often without any sign of news; and so soon again where one had nothing behind it yet. */
  pollMs: 30_000,
  soonMs: 1_000,
  /** A receiver that is gone is asked so often. */
  parkedMs: 60 * 60_000,
  waitAfter,
};

/** Read at once. */
const BATCH = 200;
const RETRY = { firstMs: 1_000, maxMs: 30_000 };

export type TellerDeps = {
  bus: Pick<Bus, 'history' | 'archive' | 'listen' | 'onNews'>;
  places: { get(): Promise<WebhookPlace | undefined>; keep(place: WebhookPlace): Promise<void> };
  to: Receiver;
  post: Pick<Post, 'send'>;
  progress: WebhookProgress;
  /** The name of this layer. */
  layer: string;
  /** It has just been configured: what happened before is not for it. */
  fresh: boolean;
  log: Log;
  times?: typeof TIMES;
};

type Waiting = { notice: Notice; place: WebhookPlace };

/**
 * Tells one receiver what happened, in order and one after another, for as long as `signal` lets it. How far that went
 * is kept after each one, so what is told twice is at most the one that was on its way when a process was killed.
 */
export async function tell(deps: TellerDeps, signal: AbortSignal): Promise<void> {
  const { log, to, times = TIMES } = deps;
  const teller = new Teller(deps);
  const rest = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  let news = Promise.withResolvers<boolean>();
  const end = hear(deps, () => news.resolve(true));
  let troubles = 0;
  let heard = false;
  try {
    while (!signal.aborted) {
      news = Promise.withResolvers();
      let wait = jittered(times.pollMs);
      try {
        const told = await teller.round(signal);
        troubles = 0;
        if (typeof told === 'object') {
          await rest(told.waitMs);
          continue;
        }
        if (told === 'more') continue;
        if (told === 'nothing' && heard) wait = jittered(times.soonMs);
      } catch (err) {
        if (signal.aborted) return;
        troubles += 1;
        wait = backoffMs(troubles, RETRY);
        log.debug({ err, webhook: to.name, ms: wait }, 'events can not be told now; trying again');
      }
      heard = (await Promise.race([news.promise, rest(wait)])) ?? false;
      if (heard) await rest(jittered(times.gatherMs));
    }
  } finally {
    end();
  }
}

class Teller {
  readonly #deps: TellerDeps;
  #place: WebhookPlace | undefined;
  #kept: WebhookPlace | undefined;
  #failures = 0;

  constructor(deps: TellerDeps) {
    this.#deps = deps;
  }

  /** @throws Fault where the bus or storage does not answer */
  async round(signal: AbortSignal): Promise<'nothing' | 'all' | 'more' | { waitMs: number }> {
    const { bus, progress } = this.#deps;
    const kept = await bus.archive.kept();
    const place = await this.#progress(kept);
    await this.#keep();
    const { waiting, end, more } = await this.#read(place, kept, signal);
    for (const [index, { notice, place: reached }] of waiting.entries()) {
      signal.throwIfAborted();
      progress.behind(waiting.length - index, more);
      const verdict = await this.#deps.post.send(notice, signal);
      if (verdict.kind !== 'taken') return { waitMs: this.#failed(verdict) };
      this.#failures = 0;
      this.#place = reached;
      await this.#keep();
      progress.taken(waiting.length - index - 1, more);
    }
    this.#place = end;
    await this.#keep();
    if (waiting.length === 0 && !more) progress.behind(0, false);
    return more ? 'more' : waiting.length > 0 ? 'all' : 'nothing';
  }

  #failed(verdict: Exclude<Awaited<ReturnType<Post['send']>>, { kind: 'taken' }>): number {
    const { log, to, progress, times = TIMES } = this.#deps;
    this.#failures += 1;
    const { kind, reason } = verdict;
    const gone = kind === 'gone';
    const waitMs = gone ? times.parkedMs : times.waitAfter(this.#failures, verdict.afterMs);
    const next = Date.now() + waitMs;
    progress.failed(gone ? 'Parked' : 'Failing', { reason, attempts: this.#failures, next });
    log.warn({ webhook: to.name, reason, attempts: this.#failures, ms: waitMs }, 'a webhook was not told');
    return waitMs;
  }

  /** How far it has been told; where nobody knows, from when on it is. */
  async #progress(kept: Kept): Promise<WebhookPlace> {
    const { places } = this.#deps;
    if (this.#place) return this.#place;
    this.#place = this.#kept = await places.get();
    this.#place ??= await this.#start(kept);
    return this.#place;
  }

  /** One that is new in a layer that starts is told what happens from the start on. */
  async #start({ made, last }: Kept): Promise<WebhookPlace> {
    const { bus, fresh } = this.#deps;
    let sequence = last;
    if (!fresh) {
      const types = [storageStarted, configurationChanged].map(({ type }) => `events.${type}`);
      const starts = await Promise.all(types.map((subject) => bus.archive.last(subject)));
      sequence = starts.reduce<number>((most, start) => Math.max(most, start ?? 0), 0) || last;
    }
    // Where nobody answers, the next round asks again: a place without the id of its event is one that the stream has lost.
    return { made, sequence, id: (await bus.archive.idAt(sequence || 1)) ?? '' };
  }

  async #keep(): Promise<void> {
    const place = this.#place;
    if (!place || place === this.#kept) return;
    await this.#deps.places.keep(place);
    this.#kept = place;
  }

  /** What is to be told behind the place; `end` is how far that was looked for. */
  async #read(
    place: WebhookPlace,
    kept: Kept,
    signal: AbortSignal,
  ): Promise<{ waiting: Waiting[]; end: WebhookPlace; more: boolean }> {
    const { bus, to, layer } = this.#deps;
    const { made } = kept;
    const waiting: Waiting[] = [];
    let end = place;
    const miss = (gap: Gap, sequence: number) => {
      end = { made, sequence, id: '' };
      waiting.push({ notice: lossOf(gap, made, layer), place: end });
    };
    if (!(await this.#holds(place, kept))) {
      miss({ from: place.sequence + 1, reason: 'lost' }, kept.first - 1);
    }
    for await (const past of bus.history({ since: end.sequence + 1, signal })) {
      if ('gap' in past) {
        // That it made room is told as it was said then.
        if (past.gap.reason === 'trimmed') {
          end = { made, sequence: past.gap.to as number, id: '' };
          continue;
        }
        // What is there now, the next look finds.
        if (past.gap.reason === 'lost') return { waiting, end, more: true };
        miss(past.gap, past.gap.to as number);
        continue;
      }
      end = { made, sequence: past.sequence, id: past.event.id };
      const notice = noticeOf(past, to);
      if (notice) waiting.push({ notice, place: end });
      if (waiting.length >= BATCH) return { waiting, end, more: past.sequence < kept.last };
    }
    return { waiting, end, more: false };
  }

  /** Is the event of this place in the stream, or was it? */
  async #holds({ made, sequence, id }: WebhookPlace, kept: Kept): Promise<boolean> {
    if (made !== kept.made || sequence > kept.last) return false;
    if (sequence < kept.first) return true;
    const there = await this.#deps.bus.archive.idAt(sequence);
    // Within the stream, only what made room is missing.
    return there === undefined || there === id;
  }
}

/** Hears that there may be something to tell. Returns what ends it. */
function hear({ bus, to }: TellerDeps, heard: () => void): () => void {
  if (to.below) return bus.onNews(heard);
  const types = [tagMoved, tagDeleted, manifestCommitted, manifestDeleted, historyLost];
  const ends = types.map((type) => bus.listen(type as typeof tagMoved, heard));
  return () => {
    for (const end of ends) end();
  };
}
