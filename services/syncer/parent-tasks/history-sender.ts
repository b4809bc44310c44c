import type { LayerIdentity } from '#proto/accounts/children.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { EventPublisher, StateReader, StateWriter } from '#proto/bus/roles.ts';
import {
  type LayerReport,
  type LayersReport,
  MAX_EVENTS,
  type StreamPosition,
} from '#proto/status/layers-below.ts';
import { isTooSlow, type ReportSender } from '../link/terrace/parent-reports.ts';
import { RefusedEvents } from './refused-events.ts';

type Sent = LayersReport['events'];

/** Sends events to a parent, from the position that it reports. Events that it refuses for good are skipped. */
export class HistorySender {
  readonly #identity: () => Promise<LayerIdentity>;
  readonly #log: Log;
  readonly #refused: RefusedEvents;
  #to: ReportSender | undefined;
  /** The parent's position, once it has reported it; `place` is undefined if it has no event. */
  ack: { place: StreamPosition | undefined } | undefined;
  /** The next batch starts from the first event, regardless of the parent's position. */
  restart = false;
  /** Max events per report: halved by a report that took too long, and increased by each full one that did not. */
  #maxEvents = MAX_EVENTS;

  constructor(
    bus: StateReader & StateWriter & EventPublisher,
    identity: () => Promise<LayerIdentity>,
    log: Log,
  ) {
    this.#identity = identity;
    this.#log = log;
    this.#refused = new RefusedEvents(bus, log);
  }

  set to(to: ReportSender | undefined) {
    if (to !== this.#to) this.ack = undefined;
    this.#to = to;
  }

  /**
   * Sends the status of the layers, and asks for the parent's position.
   * @returns whether the parent reported its position
   * @throws Fault if it does not answer
   */
  async ask(made: string, layers: LayerReport[], signal: AbortSignal): Promise<boolean> {
    const answer = await this.#send({ made, events: [], layers }, signal);
    const refused = answer && 'refused' in answer && answer.refused;
    if (refused) this.#log.error({ err: refused }, 'the parent refused the status of the layers');
    const accepted = refused ? await this.#send({ made, events: [] }, signal) : answer;
    this.ack = accepted && !('refused' in accepted) ? accepted : undefined;
    return this.ack !== undefined;
  }

  /**
   * @returns whether the parent's position is now that of the last event
   * @throws Fault if it does not answer
   */
  async send(made: string, events: Sent, signal: AbortSignal): Promise<boolean> {
    for (let sent = 0; sent < events.length; ) {
      const batch = events.slice(sent, sent + this.#maxEvents);
      try {
        if (!(await this.#sendBatch(made, batch, signal))) return false;
      } catch (error) {
        if (!isTooSlow(error) || batch.length === 1) throw error;
        this.#maxEvents = Math.ceil(batch.length / 2);
        continue;
      }
      sent += batch.length;
      // By an eighth: on a slow link, each batch that is too large costs as long as the parent waits for it.
      if (batch.length === this.#maxEvents) {
        this.#maxEvents = Math.min(MAX_EVENTS, Math.ceil(this.#maxEvents * 1.125));
      }
    }
    return true;
  }

  async #sendBatch(made: string, events: Sent, signal: AbortSignal): Promise<boolean> {
    const from = this.restart ? { restart: true } : { after: this.ack?.place?.sequence ?? 0 };
    const answer = await this.#send({ made, events, ...from }, signal);
    if (answer && 'refused' in answer) {
      const [first] = events;
      if (first && events.length === 1) {
        this.#pass(first, answer.refused);
        return true;
      }
      const half = Math.ceil(events.length / 2);
      return (
        (await this.send(made, events.slice(0, half), signal)) && this.send(made, events.slice(half), signal)
      );
    }
    this.restart = false;
    this.ack = answer;
    if (answer?.taken) await this.#refused.confirm();
    return answer?.taken ?? false;
  }

  /** To be called when all events have been sent. */
  reportRefused(): Promise<void> {
    return this.#refused.report();
  }

  #pass(...[event, refusal]: Parameters<RefusedEvents['add']>): void {
    try {
      this.#refused.add(event, refusal);
    } catch (error) {
      this.#to?.suspend();
      throw error;
    }
  }

  async #send(report: Omit<LayersReport, 'instance' | 'start'>, signal: AbortSignal) {
    const { instance, start } = await this.#identity();
    return this.#to?.send({ instance, ...(start && { start: start.id }), ...report }, signal);
  }
}
