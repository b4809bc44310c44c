import { createHash } from 'node:crypto';
import { pack } from '../contract/contract.ts';
import { Envelope, MAX_LAYER_LENGTH, MAX_SOURCE_LENGTH, readEvent } from '../contract/envelope.ts';
import { Fault } from '../contract/fault.ts';
import { packedSize } from '../contract/packed-size.ts';
import type { Archive } from '../jetstream/archive.ts';

/** Events reported by the layers below, stored in the stream of this layer as `below.<child>.<type>`. */

/** Position of an event in the stream of the child; `made` is when that stream was created. */
export type Origin = { made: string; sequence: number };
/** `stored`: its sequence in the stream of this layer. */
export type Relayed = Origin & { stored: number; event: Envelope };

const TYPE = /^terrace\.([a-z0-9]{1,32}(?:\.[a-z0-9]{1,32}){0,3})$/;
const PAGE = { limit: 500, waitMs: 1_000 };
const ORIGIN = /^(.*)\/(\d+)$/;

/** Max event types of a child with a subject of their own; all further types share `other`. */
const MAX_TYPES = 200;

/** Max packed size of the data of an event that passes between layers, in bytes. Terrace's own events are smaller. */
export const MAX_RELAYED_BYTES = 128 * 1024;

/** Child that reported the event stored under this subject; undefined for an event of this layer. */
export function childOfSubject(subject: string): string | undefined {
  return subject.startsWith('below.') ? subject.split('.')[1] : undefined;
}

/**
 * A child's event in the form that the layer above stores, regardless of what the child claims: `layer` and `source`
 * begin with the name of the child, so that no layer can speak for one that is not below it; attributes that an
 * envelope does not have are removed; oversized data are replaced by their size. Idempotent.
 */
export function attributed(child: string, event: Envelope): Envelope {
  const { specversion, id, source, type, time, layer, data } = withinLimits(event);
  return {
    specversion,
    id,
    source: sourceOf(child, source),
    type,
    time,
    layer: layer === undefined ? child : below(child, layer, MAX_LAYER_LENGTH),
    data,
  };
}

/** The event, with data above `MAX_RELAYED_BYTES` replaced by their size. */
export function withinLimits(event: Envelope): Envelope {
  const size = packedSize(event.data);
  return size > MAX_RELAYED_BYTES ? { ...event, data: { leftOutBytes: size } } : event;
}

/** Source of a child's event, as `attributed` sets it. */
export const sourceOf = (child: string, source: string): string =>
  `/layers/${below(child, source.replace(/^\/layers\//, ''), MAX_SOURCE_LENGTH - 8)}`;

function below(child: string, name: string, max: number): string {
  const path = name === child || name.startsWith(`${child}/`) ? name : `${child}/${name}`;
  return path.slice(0, max).toWellFormed();
}

/** Stores and reads the events of the layers below. */
export class Relay {
  readonly #archive: Archive;
  readonly #store: (subject: string, id: string, bytes: Uint8Array) => Promise<number>;
  readonly #types = new Map<string, Set<string>>();

  /** @param store stores an event, once per `id` within minutes, and returns its sequence */
  constructor(archive: Archive, store: (subject: string, id: string, bytes: Uint8Array) => Promise<number>) {
    this.#archive = archive;
    this.#store = store;
  }

  /** @returns the sequence of the stored event in the stream of this layer. @throws Fault `malformed`, `unavailable` */
  async store(child: string, { made, sequence }: Origin, event: Envelope): Promise<number> {
    const type = this.#typeOf(child, event);
    const bytes = pack(Envelope, { ...event, origin: `${made}/${sequence}` });
    try {
      const id = createHash('sha256').update(`${child} ${event.source} ${event.id}`).digest('base64url');
      return await this.#store(`below.${child}.${type}`, id, bytes);
    } catch (cause) {
      if (Fault.is(cause)) throw cause;
      throw new Fault('unavailable', 'the bus cannot store events: retry later', { cause });
    }
  }

  #typeOf(child: string, event: Envelope): string {
    const [, type = 'other'] = TYPE.exec(event.type) ?? [];
    const types = this.#types.get(child) ?? new Set();
    this.#types.set(child, types);
    if (types.size < MAX_TYPES) types.add(type);
    return types.has(type) ? type : 'other';
  }

  /**
   * Yields the readable events of a child after sequence `stored` of the stream of this layer, up to the last one that
   * is stored at the call.
   * @throws Fault `unavailable`
   */
  async *since(child: string, stored: number): AsyncGenerator<Relayed> {
    const subject = `below.${child}.>`;
    const last = (await this.#archive.last(subject)) ?? 0;
    if (last <= stored) return;
    for (let reached = stored; reached < last; ) {
      const page = await this.#archive.read({ ...PAGE, from: { sequence: reached + 1 }, subject });
      if (page.length === 0) throw new Fault('unavailable', 'cannot read events: retry later');
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
