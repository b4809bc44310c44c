import { askRoom } from '#proto/accounts/children.ts';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { attributed, sourceOf } from '#proto/bus/relay.ts';
import { packedSize } from '#proto/contract/contract.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import { kept } from '#proto/status/layer-reports.ts';
import {
  type Layers,
  layersBelow,
  MAX_MARKS,
  type Place,
  type Report,
  type ReportProgress,
  reportProgress,
} from '#proto/status/layers-below.ts';
import { presence } from '#proto/status/presence.ts';

/** Of the sources that are told apart, with their numbers: those of some hundred children fit into their bucket. */
const MAX_MARK_BYTES = 96 * 1024;

/** How far a child was heard; before its first event, only what holds for all of them. */
type Known = {
  place: Place | undefined;
  stored: number;
  tail: string;
  marks: Map<string, number>;
  revision: number;
};
const NOTHING = { place: undefined, stored: 0, tail: '' };
export type Outcome = { taken: boolean; place: Place | undefined };

type ChildReportsBus = Pick<Bus, 'get' | 'put' | 'swap' | 'remove' | 'relay' | 'archive' | 'call'>;

/**
 * Takes what the children tell into the stream of this layer: every event once, in the order of the child's stream.
 * The stream itself says what was stored last, and a state how far that was reckoned with; both are of one store, so a
 * child is told the truth also where that was lost or came back from a copy: then it tells the rest again.
 */
export class ChildReports {
  readonly #bus: ChildReportsBus;
  /** One report of a child after another. */
  readonly #turns = new KeyedLock();

  constructor(bus: ChildReportsBus) {
    this.#bus = bus;
  }

  /**
   * @param account whether the child has logged in
   * @param charged bytes of the report that the child's allowance has been charged with
   * @throws Fault `malformed`; `too-many`; `unavailable`: some of the events may be stored, and the next report is told which
   */
  take(child: string, report: Report, from: { account: boolean; charged?: number }): Promise<Outcome> {
    return this.#turns.run(child, () => this.#take(child, report, from));
  }

  /** Nothing is known of the child any more; what it told stays in the history. */
  async forget(child: string): Promise<void> {
    await this.#turns.run(child, async () => {
      await this.#bus.remove(layersBelow, child);
      await this.#bus.remove(reportProgress, child);
      await this.#bus.remove(presence, child);
    });
  }

  async #take(
    child: string,
    { made, after, anew, events, layers }: Report,
    { account, charged }: { account: boolean; charged?: number },
  ): Promise<Outcome> {
    checkOrder(events);
    const known = await this.#reckon(child);
    const { place } = known;
    if (layers) {
      const told: Layers = { seen: Date.now(), layers: kept(layers), ...(account && { account }) };
      await this.#bus.put(layersBelow, child, told).catch(unavailable);
    }
    if (after === undefined && !anew) return { taken: events.length === 0, place };
    const follows = place ? place.made === made && place.sequence === after : after === 0;
    if (!anew && !follows) return { taken: false, place };
    const named = events.map(({ sequence, event }) => ({ sequence, event: attributed(child, event) }));
    const bytes = named.reduce((sum, { event }) => sum + packedSize(event), 0);
    if (bytes > 0) await this.#bus.call(askRoom, { child, bytes, ...(charged !== undefined && { charged }) });
    for (const { sequence, event } of named) {
      if (isNew(known, event)) {
        const stored = await this.#bus.relay.store(child, { made, sequence }, event);
        if (stored > known.stored) Object.assign(known, { stored, tail: event.id });
      }
      known.place = { made, sequence, id: event.id };
    }
    if (events.length > 0) await this.#keep(child, known, account);
    return { taken: true, place: known.place };
  }

  /** What the state says, and what the stream has beyond it. */
  async #reckon(child: string): Promise<Known> {
    const entry = await this.#bus.get(reportProgress, child).catch(unavailable);
    const known: Known = { ...NOTHING, marks: new Map(), revision: entry?.revision ?? 0 };
    try {
      if (entry && (await this.#holds(entry.value))) {
        const { stored, tail, marks, made, sequence, id } = entry.value;
        const named = Object.entries(marks).map(
          ([source, serial]) => [sourceOf(child, source), serial] as const,
        );
        Object.assign(known, { place: { made, sequence, id }, stored, tail, marks: new Map(named) });
      }
      for await (const { made, sequence, stored, event } of this.#bus.relay.since(child, known.stored)) {
        isNew(known, attributed(child, event));
        Object.assign(known, { stored, tail: event.id, place: { made, sequence, id: event.id } });
      }
    } catch (cause) {
      unavailable(cause);
    }
    return known;
  }

  /** Is what was reckoned with still in the stream, or not kept any more? */
  async #holds({ stored, tail }: ReportProgress): Promise<boolean> {
    if (stored === 0) return true;
    const { archive } = this.#bus;
    const { first, last } = await archive.kept();
    if (stored > last) return false;
    if (stored < first) return true;
    const there = await archive.idAt(stored);
    // Within the stream, only what made room is missing.
    return there === undefined || there === tail;
  }

  /** Where another process was first, the child is told how things are when it reports again. */
  async #keep(child: string, known: Known, account: boolean): Promise<void> {
    const { place, stored, tail, marks, revision } = known;
    const value = {
      ...(place as Place),
      stored,
      tail,
      marks: Object.fromEntries(lastOf(marks)),
      ...(account && { account }),
    } satisfies ReportProgress;
    const kept = await this.#bus.swap(reportProgress, child, value, revision).catch(unavailable);
    if (kept === undefined) throw new Fault('unavailable', 'another report of this child came between');
  }
}

/** Those that were heard last, as many as the state may have. */
function lastOf(marks: ReadonlyMap<string, number>): [string, number][] {
  const kept: [string, number][] = [];
  let bytes = 0;
  for (const [source, serial] of [...marks].slice(-MAX_MARKS).reverse()) {
    bytes += Buffer.byteLength(source) + 16;
    if (bytes > MAX_MARK_BYTES) break;
    kept.push([source, serial]);
  }
  return kept.reverse();
}

/** Whether it was not stored yet; from now on, it is. */
function isNew({ marks }: Pick<Known, 'marks'>, { source, id }: Envelope): boolean {
  const serial = Number(/-(\d{1,15})$/.exec(id)?.[1] ?? Number.NaN);
  // What others than a Terrace tell is known by its place alone.
  if (Number.isNaN(serial)) return true;
  const last = marks.get(source) ?? -1;
  // The last ones heard are the last ones in the map.
  marks.delete(source);
  marks.set(source, Math.max(last, serial));
  return serial > last;
}

function checkOrder(events: Report['events']): void {
  const wrong = events.findIndex(({ sequence }, index) => sequence <= (events[index - 1]?.sequence ?? 0));
  if (wrong < 0) return;
  throw new Fault('malformed', `/events/${wrong}/sequence: must be larger than that of the event before`);
}

function unavailable(cause: unknown): never {
  if (cause instanceof Fault) throw cause;
  throw new Fault('unavailable', 'the bus does not answer now', { cause });
}
