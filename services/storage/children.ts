import { randomUUID } from 'node:crypto';
import { ALREADY_ACTIVATED, type Child } from '#proto/children.ts';
import { Fault } from '#proto/fault.ts';
import { childAccounts } from './child-accounts.ts';
import { drop, put } from './metadata.ts';
import { type Page, page } from './page.ts';
import type { Parts } from './storage.ts';

/** How often it is written at most when an instance was heard of, in ms. */
const SEEN_MS = 60_000;

/** Which instance of each child is activated, and which instance this layer itself is. */
export class Children {
  readonly #parts: Pick<Parts, 'metadata' | 'locks' | 'now'>;

  constructor(parts: Pick<Parts, 'metadata' | 'locks' | 'now'>) {
    this.#parts = parts;
  }

  /** @throws Fault `already-activated` */
  activate(name: string, instance: string): Promise<{ made: boolean; since: number }> {
    const { metadata, now } = this.#parts;
    return this.#alone(async () => {
      const at = now();
      const before = await metadata.child(name);
      if (!before) {
        // On the disk before anybody is told: a second instance must be refused after a power cut too.
        await metadata.write(put.child(name, { instance, since: at, seen: at }));
        return { made: true, since: at };
      }
      const { since, seen } = before;
      if (before.instance !== instance) {
        throw new Fault('already-activated', ALREADY_ACTIVATED, { detail: { child: name, since } });
      }
      if (at - seen >= SEEN_MS) await metadata.note(put.child(name, { ...before, seen: at }));
      return { made: false, since };
    });
  }

  async isFree(name: string, instance: string | undefined): Promise<boolean> {
    const active = await this.#parts.metadata.child(name);
    return active === undefined || active.instance === instance;
  }

  accounts(names: string[]): Promise<{ names: string[]; open: boolean }> {
    return childAccounts(this.#parts.metadata, names);
  }

  deactivate(name: string): Promise<{ was?: Child }> {
    const { metadata } = this.#parts;
    return this.#alone(async () => {
      const was = await metadata.child(name);
      if (!was) return {};
      await metadata.write(drop.child(name));
      return { was: { name, ...was } };
    });
  }

  async list({ after, limit }: Page): Promise<{ children: Child[]; more: boolean }> {
    const [found, more] = await page(this.#parts.metadata.children(after), limit);
    return { children: found.map(([name, record]) => ({ name, ...record })), more };
  }

  /** Made when it is first asked for, which is at the first start. */
  async instance(): Promise<string> {
    const { metadata } = this.#parts;
    const known = await metadata.instance();
    if (known) return known;
    return this.#alone(async () => {
      const meanwhile = await metadata.instance();
      if (meanwhile) return meanwhile;
      const instance = randomUUID();
      await metadata.write(put.instance(instance));
      return instance;
    });
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#parts.locks.run('children', work);
  }
}
