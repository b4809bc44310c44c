import { setTimeout as sleep } from 'node:timers/promises';
import type { LayerIdentity } from '#proto/accounts/children.ts';
import { jittered } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { type Gap, historyLost } from '#proto/bus/history.ts';
import { withinLimits } from '#proto/bus/relay.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Kept } from '#proto/jetstream/archive.ts';
import { type LayerReport, MAX_EVENTS, type Place, type Report } from '#proto/status/layers-below.ts';
import type { ParentReports } from '../link/parent/reports.ts';
import type { Link } from '../schedule/hours.ts';
import { LinkGate } from '../schedule/link-gate.ts';
import { HistorySender } from './history-sender.ts';
import { MIN_INTERVAL_MS, ReportClock } from './layer-report.ts';
import { PATIENT, waitAfter } from './wait-after.ts';

/** Events of so long go up together, in ms. */
const GATHER_MS = 1_000;
/** Without any, the state of the layer is looked at so often, in ms. */
const POLL_MS = 60_000;
/** As JSON, before it is packed, in bytes. */
const BATCH_BYTES = 256 * 1024;

export type ReporterDeps = {
  bus: Pick<Bus, 'history' | 'archive' | 'onNews' | 'publish' | 'get' | 'put' | 'remove'>;
  /** Calls back at the end of each pass. Returns what ends that. */
  onPass: (heard: () => void) => () => void;
  /** Undefined where the parent is no Terrace, as far as it is known. */
  reports: () => Promise<Pick<ParentReports, 'send' | 'rest'> | undefined>;
  /** Undefined where there is no parent. */
  link: () => Link | undefined;
  /** Of this data volume. */
  identity: () => Promise<LayerIdentity>;
  layers: () => Promise<LayerReport[]>;
  /** Whether the parent knows by other requests that this layer is there. */
  known: () => boolean;
  /** Whether the parent is told of what happened here; of what happened below it always is. */
  tells?: (event: Envelope) => boolean;
  log: Log;
  gatherMs?: number;
};

/**
 * Tells the parent what happened here and below, for as long as `signal` lets it: while the link may be used the whole
 * time or its window is open, and otherwise after each pass. Where it goes on, the parent says.
 */
export async function report(deps: ReporterDeps, signal: AbortSignal): Promise<void> {
  const { bus, log, gatherMs = GATHER_MS } = deps;
  const reporter = new HistoryReporter(deps);
  let news = Promise.withResolvers<void>();
  let passed = true;
  const ends = [
    bus.onNews(() => news.resolve()),
    deps.onPass(() => {
      passed = true;
      // While the link is live, news alone are worth a request.
      if (!deps.link()?.live) news.resolve();
    }),
  ];
  const rest = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
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
          failures = 0;
        } catch (err) {
          if (signal.aborted) return;
          failures += 1;
          passed = true;
          const ms = waitAfter(err, failures, PATIENT);
          log.debug({ err, ms }, 'the parent could not be told what happened; telling it again');
          await rest(ms);
          continue;
        }
      }
      await Promise.race([news.promise, rest(jittered(reporter.pending ? MIN_INTERVAL_MS : POLL_MS))]);
      await rest(jittered(gatherMs));
    }
  } finally {
    for (const end of ends) end();
  }
}

class HistoryReporter {
  readonly #deps: ReporterDeps;
  readonly #clock = new ReportClock();
  readonly #sender: HistorySender;
  /** Up to here, events that are missing were told of. */
  #missed = 0;
  /** What is from the parent's place, `behind`, up to here is not for the parent: it need not be read again. */
  #silent: Place & { behind: number } = { made: '', sequence: 0, id: '', behind: 0 };

  /** When all layers were last read, by `Date.now()`. */
  #readAt = Number.NEGATIVE_INFINITY;

  /** How this layer stands may have changed too soon after it was last told, or read. */
  pending = false;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
    this.#sender = new HistorySender(deps.bus, deps.identity, deps.log);
  }

  /** Tells all there is to tell now. @throws Fault where the parent, or the bus, does not answer */
  async round(signal: AbortSignal): Promise<void> {
    const { bus, reports, layers, log } = this.#deps;
    const to = await reports();
    const sender = this.#sender;
    sender.to = to;
    if (!to) return;
    const now = Date.now();
    // All layers below are read for it: not with each event.
    const isUnread = sender.ack !== undefined && Math.abs(now - this.#readAt) < MIN_INTERVAL_MS;
    let all = isUnread ? undefined : await layers();
    if (all) this.#readAt = now;
    const due = sender.ack === undefined || (all && this.#clock.isDue(all, now, this.#deps.known()));
    this.pending = !due && (!all || this.#clock.differs(all));
    let elsewhere = 0;
    for (let first = due === true; !signal.aborted; first = false) {
      const kept = await bus.archive.kept();
      if (!sender.ack || first) {
        all ??= await layers();
        if (!(await sender.ask(kept.made, all, signal))) return;
        this.#clock.told(all, now);
      }
      const { place } = sender.ack as NonNullable<typeof sender.ack>;
      const there = place !== undefined && (await this.#holds(place, kept));
      if (place && !there)
        log.info({ place, kept }, 'the parent knows events that are not here: telling all');
      const told = there ? await this.#reached(place, kept) : undefined;
      if (told === kept.last || kept.last < kept.first) return;
      if ((await this.#tell(kept.made, told, signal)) === 'all') return;
      elsewhere += 1;
      // It is sent the same again from where it says that it is: once, and then not at once.
      if (elsewhere > 1) throw new Fault('parent-invalid', 'the parent is never where it said that it is');
    }
  }

  /** Is the place in the stream, or was it? One that came back from a copy may have another event there. */
  async #holds({ made, sequence, id }: Place, kept: Kept): Promise<boolean> {
    if (made !== kept.made || sequence > kept.last) return false;
    if (sequence < kept.first) return true;
    const there = await this.#deps.bus.archive.idAt(sequence);
    // Within the stream, only what made room is missing.
    return there === undefined || there === id;
  }

  /** How far all is told that is for a parent at this place. */
  async #reached({ sequence }: Place, kept: Kept): Promise<number> {
    const { behind, ...last } = this.#silent;
    return behind === sequence && (await this.#holds(last, kept)) ? last.sequence : sequence;
  }

  /** @returns `elsewhere` where the parent turned out not to be where it was thought to be */
  async #tell(made: string, told: number | undefined, signal: AbortSignal): Promise<'all' | 'elsewhere'> {
    const sender = this.#sender;
    sender.anew = told === undefined && sender.ack?.place !== undefined;
    let events: Report['events'] = [];
    let size = 0;
    const flush = async () => {
      const batch = events;
      events = [];
      size = 0;
      try {
        return await sender.tell(made, batch, signal);
      } catch (error) {
        // What was passed over may be among what is told again.
        this.#silent = { made: '', sequence: 0, id: '', behind: 0 };
        throw error;
      }
    };
    const { tells = () => true } = this.#deps;
    let last = { sequence: told ?? 0, id: '' };
    for await (const past of this.#deps.bus.history({ since: told ?? 1, signal })) {
      if ('gap' in past) {
        if (past.gap.reason === 'lost') return 'elsewhere';
        if (told !== undefined) this.#miss(past.gap, told);
        continue;
      }
      const { sequence, event, child } = past;
      if (sequence === told) continue;
      last = { sequence, id: event.id };
      if (child === undefined && !tells(event)) continue;
      const sent = withinLimits(event);
      events.push({ sequence, event: sent });
      size += Buffer.byteLength(JSON.stringify(sent));
      if (events.length < MAX_EVENTS && size < BATCH_BYTES) continue;
      if (!(await flush())) return 'elsewhere';
    }
    if (!(await flush())) return 'elsewhere';
    await sender.told();
    if (last.id) this.#silent = { made, ...last, behind: sender.ack?.place?.sequence ?? 0 };
    return 'all';
  }

  /** That events made room was said when they did. */
  #miss({ to = 0, reason }: Gap, told: number): void {
    if (reason === 'trimmed') return;
    const from = Math.max(told, this.#missed) + 1;
    if (to < from) return;
    this.#missed = to;
    const gap = { from, to, reason };
    this.#deps.log.warn(
      gap,
      'events are not kept any more, or can not be read, that the parent was not told',
    );
    this.#deps.bus.publish(historyLost, gap);
  }
}
