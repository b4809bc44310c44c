import { randomUUID } from 'node:crypto';
import {
  ALREADY_ACTIVATED,
  type Child,
  type Conflict,
  type LayerIdentity,
  type Start,
} from '#proto/accounts/children.ts';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { drop, put } from '../metadata/metadata.ts';
import { type Page, page } from '../metadata/page.ts';
import type { ChildRecord } from '../metadata/records.ts';
import { childAccounts } from './child-accounts.ts';
import { MAX_SILENCE_MS, succeed, verdictOn, type Waiting, withCopy } from './child-starts.ts';
import { beginStart } from './starts.ts';

/** How often it is written at most when an instance was heard of, in ms. */
const SEEN_MS = 60_000;

export type Activating = LayerIdentity & { name: string; address?: string };

type ChildrenDeps = {
  metadata: Metadata;
  locks: KeyedLock;
  now: () => number;
  running: () => number;
};

/** Which instance of each child is activated, and which instance this layer itself is. */
export class Children {
  readonly #deps: ChildrenDeps;
  /** These by the clock that only goes forward: one that is set would make a layer silent for years, or heard in the future. */
  readonly #opened: number;
  /** When the start that has the place of a child was last heard. */
  readonly #heard = new Map<string, number>();
  readonly #waiting = new Map<string, Waiting>();
  #start: Start | undefined;

  constructor(deps: ChildrenDeps) {
    this.#deps = deps;
    this.#opened = deps.running();
  }

  /** @throws Fault `already-activated` */
  activate(asking: Activating): Promise<{ made: boolean; since: number }> {
    const { metadata, now } = this.#deps;
    const { name, instance, start, address } = asking;
    return this.#alone(async () => {
      const at = now();
      const before = await metadata.child(name);
      if (before && before.instance !== instance) throw conflict(asking, before, {});
      if (!before || !start || !before.start) {
        const held = start && succeed(before?.start, start, address);
        const record = { instance, since: before?.since ?? at, seen: at, ...(held && { start: held }) };
        // On the disk before anybody is told: a second instance must be refused after a power cut too.
        if (!before || held || before.start) await this.#keep(name, record);
        else if (Math.abs(at - before.seen) >= SEEN_MS)
          await metadata.note(put.child(name, { ...before, seen: at }));
        return { made: !before, since: record.since };
      }
      await this.#judge(asking, start, before, before.start);
      return { made: false, since: before.since };
    });
  }

  /** @throws Fault `already-activated` */
  async #judge(
    asking: Activating,
    start: Start,
    before: ChildRecord,
    held: NonNullable<ChildRecord['start']>,
  ): Promise<void> {
    const { metadata } = this.#deps;
    const at = this.#deps.now();
    const now = this.#deps.running();
    const { name, address } = asking;
    // What was heard right before this storage was opened is not known to the minute.
    const heard = this.#heard.get(name) ?? this.#opened;
    const seen = Math.round(at - (now - heard));
    const waiting = this.#waiting.get(name);
    switch (verdictOn({ held, asking: start, heard, waiting, now })) {
      case 'holds': {
        this.#heard.set(name, now);
        const moved = address !== undefined && address !== held.address;
        if (!moved && Math.abs(at - before.seen) < SEEN_MS) return;
        const record = {
          ...before,
          seen: at,
          start: { ...held, ...(address !== undefined && { address }) },
        };
        return metadata.note(put.child(name, record));
      }
      case 'takes':
        return this.#keep(name, { ...before, seen: at, start: succeed(held, start, address) });
      case 'waits': {
        const own = waiting && (waiting.id === start.id || start.before.includes(waiting.id));
        this.#waiting.set(name, { id: start.id, since: own ? waiting.since : now });
        const retryAfter = Math.max(1, Math.ceil((heard + MAX_SILENCE_MS - now) / 1_000));
        throw conflict(asking, { ...before, seen }, { copy: true, retryAfter });
      }
      case 'is a copy': {
        const copies = held.replaced?.includes(start.id) ? held : withCopy(held, start.id);
        if (copies !== held) await metadata.write(put.child(name, { ...before, start: copies }));
        throw conflict(asking, { ...before, seen }, { copy: true });
      }
    }
  }

  async #keep(name: string, record: ChildRecord): Promise<void> {
    await this.#deps.metadata.write(put.child(name, record));
    this.#heard.set(name, this.#deps.running());
    this.#waiting.delete(name);
  }

  /** Whether it is this one that has the place, or nobody. */
  async isFree({
    name,
    instance,
    start,
  }: {
    name: string;
    instance?: string;
    start?: string;
  }): Promise<boolean> {
    const active = await this.#deps.metadata.child(name);
    if (active === undefined) return true;
    return active.instance === instance && (active.start === undefined || active.start.id === start);
  }

  accounts(names: string[]): Promise<{ names: string[]; open: boolean }> {
    return childAccounts(this.#deps.metadata, names);
  }

  deactivate(name: string): Promise<{ was?: Child }> {
    const { metadata } = this.#deps;
    return this.#alone(async () => {
      const was = await metadata.child(name);
      if (!was) return {};
      await metadata.write(drop.child(name));
      this.#heard.delete(name);
      this.#waiting.delete(name);
      return { was: childOf(name, was) };
    });
  }

  async list({ after, limit }: Page): Promise<{ children: Child[]; more: boolean }> {
    const [found, more] = await page(this.#deps.metadata.children(after), limit);
    return { children: found.map(([name, record]) => childOf(name, record)), more };
  }

  /** To be called once, when this layer starts. */
  async begin(data: string): Promise<void> {
    const { metadata, now } = this.#deps;
    this.#start = await beginStart(metadata, data, now());
    await this.instance();
  }

  async identity(): Promise<LayerIdentity> {
    return { instance: await this.instance(), ...(this.#start && { start: this.#start }) };
  }

  /** Made when it is first asked for, which is at the first start. */
  async instance(): Promise<string> {
    const { metadata } = this.#deps;
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
    return this.#deps.locks.run('children', work);
  }
}

/** @param before who has the place */
function conflict({ name, address }: Activating, before: ChildRecord, more: Conflict): Fault {
  const { since, instance, seen, start } = before;
  const held: Conflict = {
    since,
    instance,
    seen,
    ...(start && { started: start.at }),
    ...(start?.address !== undefined && { address: start.address }),
    ...(address !== undefined && { from: address }),
    ...more,
  };
  return new Fault('already-activated', ALREADY_ACTIVATED, { detail: { child: name, ...held } });
}

function childOf(name: string, { instance, since, seen, start }: ChildRecord): Child {
  return {
    name,
    instance,
    since,
    seen,
    ...(start && { started: start.at }),
    ...(start?.address !== undefined && { address: start.address }),
  };
}
