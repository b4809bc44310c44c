import type { LayerIdentity } from '#proto/accounts/children.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { type LayerReport, MAX_EVENTS, type Place, type Report } from '#proto/status/layers-below.ts';
import { isTooSlow, type ParentReports } from '../link/parent/reports.ts';
import { RefusedEvents } from './refused-events.ts';

type Sent = Report['events'];
type To = Pick<ParentReports, 'send' | 'rest'>;

/** Tells a parent events, from where it says that it is. One that it refuses for good keeps none behind it back. */
export class HistorySender {
  readonly #identity: () => Promise<LayerIdentity>;
  readonly #log: Log;
  readonly #refused: RefusedEvents;
  #to: To | undefined;
  /** How far the parent is, once it has said so: it may have nothing. */
  ack: { place: Place | undefined } | undefined;
  /** It is told from the first event on, whatever it has. */
  anew = false;
  /** Events in one report: halved by one that came too slowly, and more again with each that came in time. */
  #maxEvents = MAX_EVENTS;

  constructor(
    bus: Pick<Bus, 'get' | 'put' | 'remove' | 'publish'>,
    identity: () => Promise<LayerIdentity>,
    log: Log,
  ) {
    this.#identity = identity;
    this.#log = log;
    this.#refused = new RefusedEvents(bus, log);
  }

  set to(to: To | undefined) {
    if (to !== this.#to) this.ack = undefined;
    this.#to = to;
  }

  /**
   * Says how the layers are, and asks how far the parent is.
   * @returns whether it said so @throws Fault where it does not answer
   */
  async ask(made: string, layers: LayerReport[], signal: AbortSignal): Promise<boolean> {
    const answer = await this.#send({ made, events: [], layers }, signal);
    const refused = answer && 'refused' in answer && answer.refused;
    if (refused) this.#log.error({ err: refused }, 'the parent refuses to be told how the layers are');
    const asked = refused ? await this.#send({ made, events: [] }, signal) : answer;
    this.ack = asked && !('refused' in asked) ? asked : undefined;
    return this.ack !== undefined;
  }

  /** @returns whether the parent is now where the last of them is @throws Fault where it does not answer */
  async tell(made: string, events: Sent, signal: AbortSignal): Promise<boolean> {
    for (let at = 0; at < events.length; ) {
      const batch = events.slice(at, at + this.#maxEvents);
      try {
        if (!(await this.#tell(made, batch, signal))) return false;
      } catch (error) {
        if (!isTooSlow(error) || batch.length === 1) throw error;
        this.#maxEvents = Math.ceil(batch.length / 2);
        continue;
      }
      at += batch.length;
      // By an eighth: on a slow link each attempt that is too large costs as long as the parent waits for it.
      if (batch.length === this.#maxEvents) {
        this.#maxEvents = Math.min(MAX_EVENTS, Math.ceil(this.#maxEvents * 1.125));
      }
    }
    return true;
  }

  async #tell(made: string, events: Sent, signal: AbortSignal): Promise<boolean> {
    const from = this.anew ? { anew: true } : { after: this.ack?.place?.sequence ?? 0 };
    const answer = await this.#send({ made, events, ...from }, signal);
    if (answer && 'refused' in answer) {
      const [first] = events;
      if (first && events.length === 1) {
        this.#pass(first, answer.refused);
        return true;
      }
      const half = Math.ceil(events.length / 2);
      return (
        (await this.tell(made, events.slice(0, half), signal)) && this.tell(made, events.slice(half), signal)
      );
    }
    this.anew = false;
    this.ack = answer;
    if (answer?.taken) await this.#refused.settle();
    return answer?.taken ?? false;
  }

  /** All there is was told. */
  told(): Promise<void> {
    return this.#refused.tell();
  }

  #pass(...[event, refusal]: Parameters<RefusedEvents['add']>): void {
    try {
      this.#refused.add(event, refusal);
    } catch (error) {
      this.#to?.rest();
      throw error;
    }
  }

  async #send(report: Omit<Report, 'instance' | 'start'>, signal: AbortSignal) {
    const { instance, start } = await this.#identity();
    return this.#to?.send({ instance, ...(start && { start: start.id }), ...report }, signal);
  }
}
