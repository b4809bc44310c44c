import { pack, unpack } from './contract.ts';
import { Envelope } from './envelope.ts';
import { Fault } from './fault.ts';
import type { Archive } from './history.ts';

/** Events that layers below have told, in the stream of this one: `below.<child>.<type>`. */

/** Where an event is in the stream of the child. */
export type Origin = { made: string; sequence: number };
/** `stored`: its sequence here. */
export type Relayed = Origin & { stored: number; event: Envelope };

const TYPE = /^terrace\.([a-z0-9]+(?:\.[a-z0-9]+)*)$/;
const ORIGIN = /^(.*)\/(\d+)$/;

/** The child that told what is stored under this subject. */
export function childOf(subject: string): string | undefined {
  return subject.startsWith('below.') ? subject.split('.')[1] : undefined;
}

export class Relay {
  readonly #archive: Archive;
  readonly #store: (subject: string, id: string, bytes: Uint8Array) => Promise<number>;

  /** @param store stores once what comes twice with one id within minutes, and tells its sequence */
  constructor(archive: Archive, store: (subject: string, id: string, bytes: Uint8Array) => Promise<number>) {
    this.#archive = archive;
    this.#store = store;
  }

  /** Resolves with its sequence here, once it is stored. */
  async store(child: string, { made, sequence }: Origin, event: Envelope): Promise<number> {
    const [, type = 'other'] = TYPE.exec(event.type) ?? [];
    const bytes = pack({ ...event, origin: `${made}/${sequence}` });
    try {
      return await this.#store(`below.${child}.${type}`, `${child} ${event.source} ${event.id}`, bytes);
    } catch (cause) {
      throw new Fault('unavailable', 'the bus does not store events now', { cause });
    }
  }

  /** What a child told, behind this sequence of the stream here. @throws Fault `unavailable` */
  async *since(child: string, stored: number): AsyncGenerator<Relayed> {
    const subject = `below.${child}.>`;
    const last = (await this.#archive.last(subject)) ?? 0;
    if (last <= stored) return;
    const reader = await this.#archive.open(stored + 1, subject);
    for (let reached = stored; reached < last; ) {
      const before = reached;
      for await (const { sequence, data } of await reader.page()) {
        reached = sequence;
        const event = unpack(Envelope, data);
        const [, made = '', number = ''] = ORIGIN.exec(event.origin ?? '') ?? [];
        yield { stored: sequence, made, sequence: Number(number), event };
        if (sequence >= last) return;
      }
      if (reached === before) throw new Fault('unavailable', 'the events can not be read now');
    }
  }
}
