import { createHash } from 'node:crypto';
import { pack, packedSize } from '../contract/contract.ts';
import { Envelope, MAX_LAYER, MAX_SOURCE, readEvent } from '../contract/envelope.ts';
import { Fault } from '../contract/fault.ts';
import type { Archive } from '../jetstream/archive.ts';

/** Events that layers below have told, in the stream of this one: `below.<child>.<type>`. */

/** Where an event is in the stream of the child. */
export type Origin = { made: string; sequence: number };
/** `stored`: its sequence here. */
export type Relayed = Origin & { stored: number; event: Envelope };

const TYPE = /^terrace\.([a-z0-9]{1,32}(?:\.[a-z0-9]{1,32}){0,3})$/;
const PAGE = { limit: 500, waitMs: 1_000 };
const ORIGIN = /^(.*)\/(\d+)$/;

/** Each makes a subject of the bus: further types of a child have one together. */
const MAX_TYPES = 200;

/** Data of an event that are larger, packed, do not go from layer to layer: what Terrace itself tells is smaller. */
export const MAX_EVENT_BYTES = 128 * 1024;

/** The child that told what is stored under this subject. */
export function childOf(subject: string): string | undefined {
  return subject.startsWith('below.') ? subject.split('.')[1] : undefined;
}

/**
 * An event as the layer above a child keeps it, whatever the child says of itself: its `layer` and `source` begin with
 * the name of the child, so that nobody speaks for a layer that is not below it, and only the attributes that an
 * envelope has are kept. Data that are too large are replaced by how large they were. The same again where it was done
 * before.
 */
export function attributed(child: string, event: Envelope): Envelope {
  const { specversion, id, source, type, time, layer, data } = withinLimits(event);
  return {
    specversion,
    id,
    source: sourceOf(child, source),
    type,
    time,
    layer: layer === undefined ? child : beneath(child, layer, MAX_LAYER),
    data,
  };
}

/** The event, or one that says how large its data are where they do not go from layer to layer. */
export function withinLimits(event: Envelope): Envelope {
  const size = packedSize(event.data);
  return size > MAX_EVENT_BYTES ? { ...event, data: { leftOutBytes: size } } : event;
}

/** The source of a child's event, as `attributed` gives it. */
export const sourceOf = (child: string, source: string): string =>
  `/layers/${beneath(child, source.replace(/^\/layers\//, ''), MAX_SOURCE - 8)}`;

function beneath(child: string, name: string, max: number): string {
  const whole = name === child || name.startsWith(`${child}/`) ? name : `${child}/${name}`;
  return whole.slice(0, max).toWellFormed();
}

export class Relay {
  readonly #archive: Archive;
  readonly #store: (subject: string, id: string, bytes: Uint8Array) => Promise<number>;
  readonly #types = new Map<string, Set<string>>();

  /** @param store stores once what comes twice with one id within minutes, and tells its sequence */
  constructor(archive: Archive, store: (subject: string, id: string, bytes: Uint8Array) => Promise<number>) {
    this.#archive = archive;
    this.#store = store;
  }

  /** Resolves with its sequence here, once it is stored. @throws Fault `malformed`, `unavailable` */
  async store(child: string, { made, sequence }: Origin, event: Envelope): Promise<number> {
    const type = this.#typeOf(child, event);
    const bytes = pack(Envelope, { ...event, origin: `${made}/${sequence}` });
    try {
      const id = createHash('sha256').update(`${child} ${event.source} ${event.id}`).digest('base64url');
      return await this.#store(`below.${child}.${type}`, id, bytes);
    } catch (cause) {
      if (Fault.is(cause)) throw cause;
      throw new Fault('unavailable', 'the bus does not store events now', { cause });
    }
  }

  #typeOf(child: string, event: Envelope): string {
    const [, type = 'other'] = TYPE.exec(event.type) ?? [];
    const known = this.#types.get(child) ?? new Set();
    this.#types.set(child, known);
    if (known.size < MAX_TYPES) known.add(type);
    return known.has(type) ? type : 'other';
  }

  /** What a child told, behind this sequence of the stream here, as far as it can be read. @throws Fault `unavailable` */
  async *since(child: string, stored: number): AsyncGenerator<Relayed> {
    const subject = `below.${child}.>`;
    const last = (await this.#archive.last(subject)) ?? 0;
    if (last <= stored) return;
    for (let reached = stored; reached < last; ) {
      const page = await this.#archive.read({ ...PAGE, from: { sequence: reached + 1 }, subject });
      if (page.length === 0) throw new Fault('unavailable', 'the events can not be read now');
      for (const { sequence, data } of page) {
        reached = sequence;
        const event = readEvent(data);
        const [, made = '', number = ''] = ORIGIN.exec(event?.origin ?? '') ?? [];
        if (event && number) yield { stored: sequence, made, sequence: Number(number), event };
        if (sequence >= last) return;
      }
    }
  }
}
