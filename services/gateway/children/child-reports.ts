import { askRoom } from '#proto/accounts/children.ts';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { attributed, sourceOf } from '#proto/bus/relay.ts';
import type { BusCaller, EventRelay, HistoryReader, StateReader, StateWriter } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import { packedSize } from '#proto/contract/packed-size.ts';
import { isInStream } from '#proto/jetstream/archive.ts';
import { layersToStore } from '#proto/status/layer-reports.ts';
import {
  type ChildReport,
  type LayersReport,
  layersBelow,
  type ReportProgress,
  reportProgress,
  type StreamPosition,
} from '#proto/status/layers-below.ts';
import { presence } from '#proto/status/presence.ts';
import { StoredMarks } from './stored-marks.ts';

/**
 * Requests of the layers below: their reports and their long polls.
 *
 * `ChildReports` takes a report. It admits one report of a child at a time, compares the position after which the child
 * reports with the position stored here, asks storage for room, stores each new event in this layer's stream and then
 * advances the position. A child whose position differs gets the stored one in the answer and reports from there.
 * `ReportTurns` bounds the reports in memory. A request that waits for changes takes a slot of `LongPolls` and waits in
 * `Waiters`; `recordPresence` takes it as a sign of the child. `forgetDeletedChildren` deletes the state of a child
 * after its account.
 */

/** How far a child's events have been taken. Before its first event: `NO_PROGRESS`, and no marks. */
type Progress = {
  place: StreamPosition | undefined;
  stored: number;
  tail: string;
  marks: StoredMarks;
  revision: number;
};
const NO_PROGRESS = { place: undefined, stored: 0, tail: '' };
export type ReportOutcome = { taken: boolean; place: StreamPosition | undefined };

type ChildReportsBus = StateReader & StateWriter & EventRelay & HistoryReader & BusCaller;

/**
 * Stores the events that children report in this layer's stream: each event once, in the order of the child's stream.
 * The stream itself says what was stored last, and a state how far that has been evaluated. Both are in one store, so a
 * child gets a true answer even if that store was lost or restored from a copy: it then reports the rest again.
 */
export class ChildReports {
  readonly #bus: ChildReportsBus;
  /** A report of a child and the deletion of its state exclude each other. */
  readonly #locks = new KeyedLock();

  constructor(bus: ChildReportsBus) {
    this.#bus = bus;
  }

  /**
   * @param account whether the child has logged in
   * @param charged bytes of the report already charged to the child's allowance
   * @throws Fault `malformed`; `too-many`; `unavailable`: some of the events may be stored, and the answer to the next
   * report says which
   */
  take(
    child: string,
    report: LayersReport,
    from: { account: boolean; charged?: number },
  ): Promise<ReportOutcome> {
    return this.#locks.run(child, () => this.#take(child, report, from));
  }

  /** Deletes all state of the child; its events stay in the history. */
  async forget(child: string): Promise<void> {
    await this.#locks.run(child, async () => {
      await this.#bus.remove(layersBelow, child);
      await this.#bus.remove(reportProgress, child);
      await this.#bus.remove(presence, child);
    });
  }

  async #take(
    child: string,
    { made, after, restart, events, layers }: LayersReport,
    { account, charged }: { account: boolean; charged?: number },
  ): Promise<ReportOutcome> {
    checkOrder(events);
    const progress = await this.#progressOf(child);
    const { place } = progress;
    if (layers) {
      const reported: ChildReport = {
        seen: Date.now(),
        layers: layersToStore(layers),
        ...(account && { account }),
      };
      await this.#bus.put(layersBelow, child, reported).catch(unavailable);
    }
    if (after === undefined && !restart) return { taken: events.length === 0, place };
    const follows = place ? place.made === made && place.sequence === after : after === 0;
    if (!restart && !follows) return { taken: false, place };
    const named = events.map(({ sequence, event }) => ({ sequence, event: attributed(child, event) }));
    const bytes = named.reduce((sum, { event }) => sum + packedSize(event), 0);
    if (bytes > 0) await this.#bus.call(askRoom, { child, bytes, ...(charged !== undefined && { charged }) });
    for (const { sequence, event } of named) {
      const isNew = !progress.marks.has(event);
      progress.marks.add(event);
      if (isNew) {
        const stored = await this.#bus.relay.store(child, { made, sequence }, event);
        if (stored > progress.stored) Object.assign(progress, { stored, tail: event.id });
      }
      progress.place = { made, sequence, id: event.id };
    }
    if (events.length > 0) await this.#store(child, progress, account);
    return { taken: true, place: progress.place };
  }

  /** The stored state, advanced by the events that the stream has after it. */
  async #progressOf(child: string): Promise<Progress> {
    const entry = await this.#bus.get(reportProgress, child).catch(unavailable);
    const progress: Progress = { ...NO_PROGRESS, marks: new StoredMarks(), revision: entry?.revision ?? 0 };
    try {
      if (entry && (await this.#isValid(entry.value))) {
        const { stored, tail, made, sequence, id } = entry.value;
        const marks = StoredMarks.read(entry.value, (source) => sourceOf(child, source));
        Object.assign(progress, { place: { made, sequence, id }, stored, tail, marks });
      }
      for await (const { made, sequence, stored, event } of this.#bus.relay.since(child, progress.stored)) {
        progress.marks.add(attributed(child, event));
        Object.assign(progress, { stored, tail: event.id, place: { made, sequence, id: event.id } });
      }
    } catch (cause) {
      unavailable(cause);
    }
    return progress;
  }

  /** Whether the last event that the state covers is still in the stream, or has been removed to make room. */
  async #isValid({ stored, tail }: ReportProgress): Promise<boolean> {
    if (stored === 0) return true;
    return isInStream(this.#bus.archive, { sequence: stored, id: tail });
  }

  /** If another process stored its state first, the child gets the current position when it reports again. */
  async #store(child: string, progress: Progress, account: boolean): Promise<void> {
    const { place, stored, tail, marks, revision } = progress;
    const value = {
      ...(place as StreamPosition),
      stored,
      tail,
      ...marks.records,
      ...(account && { account }),
    } satisfies ReportProgress;
    const swapped = await this.#bus.swap(reportProgress, child, value, revision).catch(unavailable);
    if (swapped === undefined)
      throw new Fault('unavailable', 'a concurrent report of this child was stored first: report again');
  }
}

function checkOrder(events: LayersReport['events']): void {
  const wrong = events.findIndex(({ sequence }, index) => sequence <= (events[index - 1]?.sequence ?? 0));
  if (wrong < 0) return;
  throw new Fault('malformed', `/events/${wrong}/sequence: must be larger than that of the event before`);
}

function unavailable(cause: unknown): never {
  if (cause instanceof Fault) throw cause;
  throw new Fault('unavailable', 'the bus does not answer: retry later', { cause });
}
