import { setTimeout as sleep } from 'node:timers/promises';
import type { LayerIdentity } from '#proto/accounts/children.ts';
import { jittered } from '#proto/async/backoff.ts';
import type { Log } from '#proto/bus/bus.ts';
import { type Gap, historyLost } from '#proto/bus/history.ts';
import { withinLimits } from '#proto/bus/relay.ts';
import type {
  EventPublisher,
  HistoryReader,
  NewsListener,
  StateReader,
  StateWriter,
} from '#proto/bus/roles.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isInStream, type StreamBounds } from '#proto/jetstream/archive.ts';
import {
  type LayerReport,
  type LayersReport,
  MAX_EVENTS,
  type StreamPosition,
} from '#proto/status/layers-below.ts';
import type { ReportSender } from '../link/terrace/parent-reports.ts';
import { LinkGate } from '../schedule/link-gate.ts';
import type { LinkUse } from '../schedule/link-schedule.ts';
import { HistorySender } from './history-sender.ts';
import { MIN_INTERVAL_MS, ReportClock } from './layer-report.ts';
import { PATIENT_BACKOFF, waitAfter } from './wait-after.ts';

/** Wait before a report, so that several events are sent in one, in ms. */
const GATHER_MS = 1_000;
/** Poll interval for the status of the layer without news, in ms. */
const POLL_MS = 60_000;
/** Size of a batch of events from which it is sent, as uncompressed JSON, in bytes. */
const FLUSH_BYTES = 256 * 1024;
/** As of every task that can wait, but the parent may request twice as much time as elsewhere. */
const RETRY = { ...PATIENT_BACKOFF, maxAskedMs: 10 * 60_000 };

export type ReporterDeps = {
  bus: HistoryReader & NewsListener & EventPublisher & StateReader & StateWriter;
  /** Calls back at the end of each pass. Returns a function that ends the subscription. */
  onPass: (listener: () => void) => () => void;
  /** Undefined if the parent is not known to be a Terrace. */
  reports: () => Promise<ReportSender | undefined>;
  /** Undefined if no parent is configured. */
  link: () => LinkUse | undefined;
  /** Identity of this layer, from its data volume. */
  identity: () => Promise<LayerIdentity>;
  layers: () => Promise<LayerReport[]>;
  /** Whether the parent knows by other requests that this layer is present. */
  known: () => boolean;
  /** Whether an event of this layer is sent to the parent; default: all. Events of layers below always are. */
  isReported?: (event: Envelope) => boolean;
  log: Log;
  gatherMs?: number;
  /** Min interval between reports of a changed status, in ms. */
  intervalMs?: number;
};

/**
 * Sends the events of this layer and of those below to the parent until `signal` aborts: at any time while the link is
 * live, otherwise after each pass. The parent reports the position from which it continues.
 */
export async function reportHistory(deps: ReporterDeps, signal: AbortSignal): Promise<void> {
  const { bus, log, gatherMs = GATHER_MS, intervalMs = MIN_INTERVAL_MS } = deps;
  const reporter = new HistoryReporter(deps);
  let news = Promise.withResolvers<void>();
  let passed = true;
  const cleanups = [
    bus.onNews(() => news.resolve()),
    deps.onPass(() => {
      passed = true;
      // While the link is live, only news cause a report.
      if (!deps.link()?.live) news.resolve();
    }),
  ];
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  let failures = 0;
  try {
    while (!signal.aborted) {
      news = Promise.withResolvers<void>();
      const at = deps.link();
      if (at?.live || (at?.usable && passed)) {
        try {
          passed = false;
          using gate = new LinkGate(deps.link, 'usable');
          await reporter.round(AbortSignal.any([signal, gate.signal]));
          // What was too soon is still to be sent, although no other pass may follow for long.
          passed ||= reporter.pending;
          failures = 0;
        } catch (err) {
          if (signal.aborted) return;
          failures += 1;
          passed = true;
          const ms = waitAfter(err, failures, RETRY);
          log.debug({ err, ms }, 'failed to send the history to the parent; retrying');
          await pause(ms);
          continue;
        }
      }
      await Promise.race([news.promise, pause(jittered(reporter.pending ? intervalMs : POLL_MS))]);
      await pause(jittered(gatherMs));
    }
  } finally {
    for (const cleanup of cleanups) cleanup();
  }
}

class HistoryReporter {
  readonly #deps: ReporterDeps;
  readonly #clock: ReportClock;
  readonly #intervalMs: number;
  readonly #sender: HistorySender;
  /** Sequence up to which missing events have been published as `history.lost`. */
  #reportedMissing = 0;
  /** No event after the parent's position `behind`, up to this one, is for the parent: they are not read again. */
  #skipped: StreamPosition & { behind: number } = { made: '', sequence: 0, id: '', behind: 0 };
  /** When the status of all layers was last read, by `Date.now()`. */
  #readAt = Number.NEGATIVE_INFINITY;
  /** The status may have changed too soon after it was last sent or read: it is to be read again soon. */
  pending = false;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
    this.#intervalMs = deps.intervalMs ?? MIN_INTERVAL_MS;
    this.#clock = new ReportClock(this.#intervalMs);
    this.#sender = new HistorySender(deps.bus, deps.identity, deps.log);
  }

  /** Sends everything that is due now. @throws Fault if the parent or the bus does not answer */
  async round(signal: AbortSignal): Promise<void> {
    const { bus, reports, log } = this.#deps;
    const to = await reports();
    const sender = this.#sender;
    sender.to = to;
    if (!to) return;
    const now = Date.now();
    // Reading the status of all layers below is expensive: not for each event.
    const isReadRecently = sender.ack !== undefined && Math.abs(now - this.#readAt) < this.#intervalMs;
    let all = isReadRecently ? undefined : await this.#layers();
    if (all) this.#readAt = now;
    const due = sender.ack === undefined || (all && this.#clock.isDue(all, now, this.#deps.known()));
    this.pending = !due && (!all || this.#clock.differs(all));
    let mismatches = 0;
    for (let first = due === true; !signal.aborted; first = false) {
      const stream = await bus.archive.bounds();
      if (!sender.ack || first) {
        all ??= await this.#layers();
        if (!(await sender.ask(stream.made, all, signal))) return;
        this.#clock.sent(all, now);
        // Once these events are sent, the parent is to know that none wait any more.
        this.pending = all.some(({ path, waiting = 0 }) => path.length === 0 && waiting >= MAX_EVENTS);
      }
      const { place } = sender.ack as NonNullable<typeof sender.ack>;
      const isKnown = place !== undefined && (await isInStream(bus.archive, place, stream));
      if (place && !isKnown)
        log.info(
          { place, stream },
          'the history cursor of the parent is not in this history; sending all events',
        );
      const handled = isKnown ? await this.#handledUpTo(place, stream) : undefined;
      if (handled === stream.last || stream.last < stream.first) return;
      if ((await this.#send(stream.made, handled, signal)) === 'all') return;
      mismatches += 1;
      // One immediate retry from the position that the parent reports; then the caller backs off.
      if (mismatches > 1)
        throw new Fault(
          'parent-invalid',
          'the parent does not continue from the history cursor that it reported',
        );
    }
  }

  /** The status of all layers, with the number of events that the parent does not have. */
  async #layers(): Promise<LayerReport[]> {
    const place = this.#sender.ack?.place;
    const [all, stream] = await Promise.all([this.#deps.layers(), this.#deps.bus.archive.bounds()]);
    if (!this.#sender.ack) return all;
    const isSame = place?.made === stream.made;
    const handled = place && isSame ? await this.#handledUpTo(place, stream) : stream.first - 1;
    const waiting = Math.max(0, stream.last - handled);
    return all.map((layer) => (layer.path.length === 0 ? { ...layer, waiting } : layer));
  }

  /** Sequence up to which a parent at this position has all events that are for it. */
  async #handledUpTo({ sequence }: StreamPosition, stream: StreamBounds): Promise<number> {
    const { behind, ...last } = this.#skipped;
    return behind === sequence && (await isInStream(this.#deps.bus.archive, last, stream))
      ? last.sequence
      : sequence;
  }

  /** @returns `elsewhere` if the parent's position is not the expected one, or the stream was replaced */
  async #send(made: string, after: number | undefined, signal: AbortSignal): Promise<'all' | 'elsewhere'> {
    const sender = this.#sender;
    sender.restart = after === undefined && sender.ack?.place !== undefined;
    let events: LayersReport['events'] = [];
    let size = 0;
    const flush = async () => {
      const batch = events;
      events = [];
      size = 0;
      try {
        return await sender.send(made, batch, signal);
      } catch (error) {
        // Events that were skipped may have to be sent now.
        this.#skipped = { made: '', sequence: 0, id: '', behind: 0 };
        throw error;
      }
    };
    const { isReported = () => true } = this.#deps;
    let last = { sequence: after ?? 0, id: '' };
    for await (const past of this.#deps.bus.history({ since: after ?? 1, signal })) {
      if ('gap' in past) {
        if (past.gap.reason === 'lost') return 'elsewhere';
        if (after !== undefined) this.#publishLost(past.gap, after);
        continue;
      }
      const { sequence, event, child } = past;
      if (sequence === after) continue;
      last = { sequence, id: event.id };
      if (child === undefined && !isReported(event)) continue;
      const sent = withinLimits(event);
      events.push({ sequence, event: sent });
      size += Buffer.byteLength(JSON.stringify(sent));
      if (events.length < MAX_EVENTS && size < FLUSH_BYTES) continue;
      if (!(await flush())) return 'elsewhere';
    }
    if (!(await flush())) return 'elsewhere';
    await sender.reportRefused();
    if (last.id) this.#skipped = { made, ...last, behind: sender.ack?.place?.sequence ?? 0 };
    return 'all';
  }

  /** Publishes missing events, except trimmed ones, which are published when they are trimmed. */
  #publishLost({ to = 0, reason }: Gap, after: number): void {
    if (reason === 'trimmed') return;
    const from = Math.max(after, this.#reportedMissing) + 1;
    if (to < from) return;
    this.#reportedMissing = to;
    const gap = { from, to, reason };
    this.#deps.log.warn(gap, 'history events lost before the parent received them');
    this.#deps.bus.publish(historyLost, gap);
  }
}
