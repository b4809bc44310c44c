import { isDeepStrictEqual } from 'node:util';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { clip } from '#proto/contract/clip.ts';
import { Fault } from '#proto/contract/fault.ts';
import {
  HISTORY_KEY,
  type HistoryStatus,
  historyRefused,
  historyStatus,
  type RefusedEvent,
} from '#proto/status/history-status.ts';
import type { Report } from '#proto/status/layers-below.ts';

/** So many refused one after another, and none taken between them, are a parent that takes none. */
const MAX_IN_A_ROW = 10;
/** That an event was refused is said in the status for so long, in ms. */
const SAID_MS = 24 * 60 * 60_000;

type Sent = Report['events'][number];

/**
 * Events that the parent has refused for good: they are passed over, so that what is behind them goes up, and said in
 * the status and in the history.
 */
export class RefusedEvents {
  readonly #bus: Pick<Bus, 'get' | 'put' | 'remove' | 'publish'>;
  readonly #log: Log;
  readonly #now: () => number;
  /** Refused since the parent last took an event: only the next one that it takes tells that it was these. */
  #waiting: RefusedEvent[] = [];
  #said: HistoryStatus | undefined;
  /** So many were passed over so far. */
  #passed = 0;
  #known = false;

  constructor(bus: Pick<Bus, 'get' | 'put' | 'remove' | 'publish'>, log: Log, now: () => number = Date.now) {
    this.#bus = bus;
    this.#log = log;
    this.#now = now;
  }

  /** @throws Fault `parent-refused` where the parent seems to take none at all: then none of them is passed over */
  add({ sequence, event }: Sent, refusal: Fault): void {
    const { id, type } = event;
    const code = clip(String(refusal.detail?.reason ?? refusal.code), 64);
    const { message: reason } = refusal;
    this.#waiting.push({ sequence, id, type, code, reason, at: this.#now() });
    if (this.#waiting.length < MAX_IN_A_ROW) return;
    this.#waiting = [];
    throw new Fault('parent-refused', `the parent takes no events: ${refusal.message}`, {
      detail: refusal.detail ?? {},
    });
  }

  /** The parent took what is behind them: they are passed over. */
  async settle(): Promise<void> {
    const refused = this.#waiting;
    await this.tell();
    this.#waiting = [];
    const last = refused.at(-1);
    if (!last) return;
    this.#passed = this.#said?.count ?? 0;
    this.#log.error(
      { count: refused.length, ...last },
      'events of the history are refused by the parent for good: they are passed over',
    );
    // That the parent refused to hear of it is not told to the parent.
    if (last.type === `terrace.${historyRefused.type}`) return;
    this.#bus.publish(historyRefused, { count: refused.length, last });
  }

  /** Says it, as far as it is known. */
  async tell(): Promise<void> {
    await this.#load();
    const last = this.#waiting.at(-1);
    if (last) {
      const count = this.#passed + this.#waiting.length;
      await this.#say({ since: this.#said?.since ?? last.at, count, last });
    } else if (this.#said && this.#now() - this.#said.last.at > SAID_MS) {
      this.#passed = 0;
      await this.#say(undefined);
    }
  }

  async #load(): Promise<void> {
    if (this.#known) return;
    this.#said = (await this.#bus.get(historyStatus, HISTORY_KEY))?.value;
    this.#known = true;
    this.#passed = this.#said?.count ?? 0;
    // One that a restart made this layer send again is no other one.
    if (this.#waiting.some(({ id }) => id === this.#said?.last.id)) this.#passed -= 1;
  }

  async #say(status: HistoryStatus | undefined): Promise<void> {
    if (isDeepStrictEqual(status, this.#said)) return;
    this.#said = status;
    if (status) await this.#bus.put(historyStatus, HISTORY_KEY, status);
    else await this.#bus.remove(historyStatus, HISTORY_KEY);
  }
}
