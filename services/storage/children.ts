import { randomUUID } from 'node:crypto';
import { type Active, ALREADY_ACTIVATED } from '#proto/children.ts';
import { Fault } from '#proto/fault.ts';
import { drop, put } from './metadata.ts';
import type { Parts } from './storage.ts';

/** A child that is heard all the time is noted so often, in ms. */
const NOTE_MS = 60_000;

/** Which instance of each child is active, and which instance this layer is. */
export class Children {
  readonly #parts: Pick<Parts, 'metadata' | 'locks' | 'now'>;

  constructor(parts: Pick<Parts, 'metadata' | 'locks' | 'now'>) {
    this.#parts = parts;
  }

  /** @throws Fault `already-activated` */
  activate(name: string, instance: string): Promise<Active> {
    const { metadata, locks, now } = this.#parts;
    return locks.run(`child ${name}`, async () => {
      const before = await metadata.child(name);
      if (before && before.instance !== instance) {
        throw new Fault('already-activated', ALREADY_ACTIVATED.message);
      }
      const seen = now();
      if (before) {
        // What a power cut undoes of this is told again.
        if (seen - before.seen >= NOTE_MS) await metadata.note(put.child(name, { ...before, seen }));
        return { name, ...before, seen };
      }
      const record = { instance, since: seen, seen };
      await metadata.write(put.child(name, record));
      return { name, ...record };
    });
  }

  async isFree(name: string, instance: string): Promise<boolean> {
    const active = await this.#parts.metadata.child(name);
    return active === undefined || active.instance === instance;
  }

  async list(): Promise<Active[]> {
    const found: Active[] = [];
    for await (const [name, record] of this.#parts.metadata.children()) found.push({ name, ...record });
    return found;
  }

  /** @returns whether one was active */
  deactivate(name: string): Promise<boolean> {
    const { metadata, locks } = this.#parts;
    return locks.run(`child ${name}`, async () => {
      if (!(await metadata.child(name))) return false;
      await metadata.write(drop.child(name));
      return true;
    });
  }

  /** Of this data volume: made when it is first asked for. */
  instance(): Promise<string> {
    const { metadata, locks } = this.#parts;
    return locks.run('instance', async () => {
      const known = await metadata.instance();
      if (known !== undefined) return known;
      const made = randomUUID();
      await metadata.write(put.instance(made));
      return made;
    });
  }
}
