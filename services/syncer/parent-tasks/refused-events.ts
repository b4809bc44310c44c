import { isDeepStrictEqual } from 'node:util';
import type { Log } from '#proto/bus/bus.ts';
import type { EventPublisher, StateReader, StateWriter } from '#proto/bus/roles.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault } from '#proto/contract/fault.ts';
import {
  HISTORY_KEY,
  type HistoryStatus,
  historyRefused,
  historyStatus,
  type RefusedEvent,
} from '#proto/status/history-status.ts';
import type { LayersReport } from '#proto/status/layers-below.ts';

/** Consecutive refused events after which the parent is considered to refuse all events. */
const MAX_IN_A_ROW = 10;
/** How long a refused event is shown in the status, in ms. */
const STATUS_MS = 24 * 60 * 60_000;

type Sent = LayersReport['events'][number];

/**
 * Events that the parent has refused for good. They are skipped, so that later events can be sent, and are reported in
 * the status and in the history.
 */
export class RefusedEvents {
  readonly #bus: StateReader & StateWriter & EventPublisher;
  readonly #log: Log;
  readonly #now: () => number;
  /** Refused since the parent last accepted an event: the next accepted one proves that it refuses only these. */
  #unconfirmed: RefusedEvent[] = [];
  #status: HistoryStatus | undefined;
  /** Number of events skipped before these. */
  #skipped = 0;
  #isLoaded = false;

  constructor(bus: StateReader & StateWriter & EventPublisher, log: Log, now: () => number = Date.now) {
    this.#bus = bus;
    this.#log = log;
    this.#now = now;
  }

  /** @throws Fault `parent-refused` if the parent seems to refuse all events: then none of these is skipped */
  add({ sequence, event }: Sent, refusal: Fault): void {
    const { id, type } = event;
    const code = clip(String(refusal.detail?.reason ?? refusal.code), 64);
    const { message: reason } = refusal;
    this.#unconfirmed.push({ sequence, id, type, code, reason, at: this.#now() });
    if (this.#unconfirmed.length < MAX_IN_A_ROW) return;
    this.#unconfirmed = [];
    throw new Fault('parent-refused', `the parent accepts no events: ${refusal.message}`, {
      detail: refusal.detail ?? {},
    });
  }

  /** The parent accepted a later event: the refused ones are skipped for good. */
  async confirm(): Promise<void> {
    const refused = this.#unconfirmed;
    await this.report();
    this.#unconfirmed = [];
    const last = refused.at(-1);
    if (!last) return;
    this.#skipped = this.#status?.count ?? 0;
    this.#log.error(
      { count: refused.length, ...last },
      'the parent refused events of the history; skipping them',
    );
    // The refusal of this event itself is not published: that event would be sent to the parent again.
    if (last.type === `terrace.${historyRefused.type}`) return;
    this.#bus.publish(historyRefused, { count: refused.length, last });
  }

  /** Updates the status. */
  async report(): Promise<void> {
    await this.#load();
    const last = this.#unconfirmed.at(-1);
    if (last) {
      const count = this.#skipped + this.#unconfirmed.length;
      await this.#put({ since: this.#status?.since ?? last.at, count, last });
    } else if (this.#status && Math.abs(this.#now() - this.#status.last.at) > STATUS_MS) {
      this.#skipped = 0;
      await this.#put(undefined);
    }
  }

  async #load(): Promise<void> {
    if (this.#isLoaded) return;
    this.#status = (await this.#bus.get(historyStatus, HISTORY_KEY))?.value;
    this.#isLoaded = true;
    this.#skipped = this.#status?.count ?? 0;
    // An event that was sent again after a restart is counted once.
    if (this.#unconfirmed.some(({ id }) => id === this.#status?.last.id)) this.#skipped -= 1;
  }

  async #put(status: HistoryStatus | undefined): Promise<void> {
    if (isDeepStrictEqual(status, this.#status)) return;
    this.#status = status;
    if (status) await this.#bus.put(historyStatus, HISTORY_KEY, status);
    else await this.#bus.remove(historyStatus, HISTORY_KEY);
  }
}
