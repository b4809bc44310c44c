import { randomUUID } from 'node:crypto';
import {
  type ActivationConflict,
  ALREADY_ACTIVATED,
  type Child,
  type LayerIdentity,
  type Start,
} from '#proto/accounts/children.ts';
import type { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Metadata } from '../metadata/metadata.ts';
import { drop, put } from '../metadata/metadata.ts';
import { type ListQuery, page } from '../metadata/page.ts';
import type { ChildRecord } from '../metadata/records.ts';
import { accountsOfChildren } from './child-accounts.ts';
import { beginStart } from './own-start.ts';
import { MAX_START_SILENCE_MS, succeed, verdictOn, type Waiting, withCopy } from './start-verdict.ts';

/** Min interval between writes of `seen`, in ms. */
const MIN_SEEN_INTERVAL_MS = 60_000;

export type Activating = LayerIdentity & { name: string; address?: string };

type ChildrenDeps = {
  metadata: Metadata;
  locks: KeyedLock;
  now: () => number;
  running: () => number;
};

/** The activated instance of each child, and the instance of this layer. Faults: see `proto/accounts/children.ts`. */
export class Children {
  readonly #deps: ChildrenDeps;
  /**
   * This and the times below are of the monotonic clock: with one that is set, a layer might look silent for years, or
   * be seen in the future.
   */
  readonly #opened: number;
  /** When the active start of each child was last seen, in ms. */
  readonly #lastSeen = new Map<string, number>();
  readonly #waiting = new Map<string, Waiting>();
  #start: Start | undefined;

  constructor(deps: ChildrenDeps) {
    this.#deps = deps;
    this.#opened = deps.running();
  }

  /** @throws Fault `already-activated` */
  activate(request: Activating): Promise<{ made: boolean; since: number }> {
    const { metadata, now } = this.#deps;
    const { name, instance, start, address } = request;
    return this.#locked(async () => {
      const at = now();
      const before = await metadata.child(name);
      if (before && before.instance !== instance) throw conflict(request, before, {});
      if (!before || !start || !before.start) {
        const held = start && succeed(before?.start, start, address);
        const record = { instance, since: before?.since ?? at, seen: at, ...(held && { start: held }) };
        // Synced before the reply: a second instance must be refused after a power cut, too.
        if (!before || held || before.start) await this.#store(name, record);
        else if (Math.abs(at - before.seen) >= MIN_SEEN_INTERVAL_MS)
          await metadata.writeUnsynced(put.child(name, { ...before, seen: at }));
        return { made: !before, since: record.since };
      }
      await this.#decide(request, start, before, before.start);
      return { made: false, since: before.since };
    });
  }

  /** @throws Fault `already-activated` */
  async #decide(
    request: Activating,
    start: Start,
    before: ChildRecord,
    held: NonNullable<ChildRecord['start']>,
  ): Promise<void> {
    const { metadata } = this.#deps;
    const at = this.#deps.now();
    const now = this.#deps.running();
    const { name, address } = request;
    // Not seen since storage was opened: `seen` of the record is up to a minute old, so assume the opening.
    const lastSeen = this.#lastSeen.get(name) ?? this.#opened;
    const seen = Math.round(at - (now - lastSeen));
    const waiting = this.#waiting.get(name);
    switch (verdictOn({ held, asking: start, lastSeen, waiting, now })) {
      case 'holds': {
        this.#lastSeen.set(name, now);
        const moved = address !== undefined && address !== held.address;
        if (!moved && Math.abs(at - before.seen) < MIN_SEEN_INTERVAL_MS) return;
        const record = {
          ...before,
          seen: at,
          start: { ...held, ...(address !== undefined && { address }) },
        };
        return metadata.writeUnsynced(put.child(name, record));
      }
      case 'takes':
        return this.#store(name, { ...before, seen: at, start: succeed(held, start, address) });
      case 'waits': {
        const isRetry = waiting && (waiting.id === start.id || start.before.includes(waiting.id));
        this.#waiting.set(name, { id: start.id, since: isRetry ? waiting.since : now });
        const retryAfter = Math.max(1, Math.ceil((lastSeen + MAX_START_SILENCE_MS - now) / 1_000));
        throw conflict(request, { ...before, seen }, { copy: true, retryAfter });
      }
      case 'copy': {
        const updated = held.replaced?.includes(start.id) ? held : withCopy(held, start.id);
        if (updated !== held) await metadata.write(put.child(name, { ...before, start: updated }));
        throw conflict(request, { ...before, seen }, { copy: true });
      }
    }
  }

  async #store(name: string, record: ChildRecord): Promise<void> {
    await this.#deps.metadata.write(put.child(name, record));
    this.#lastSeen.set(name, this.#deps.running());
    this.#waiting.delete(name);
  }

  /** Whether this start is active, or none is. */
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
    return accountsOfChildren(this.#deps.metadata, names);
  }

  deactivate(name: string): Promise<{ previous?: Child }> {
    const { metadata } = this.#deps;
    return this.#locked(async () => {
      const record = await metadata.child(name);
      if (!record) return {};
      await metadata.write(drop.child(name));
      this.#lastSeen.delete(name);
      this.#waiting.delete(name);
      return { previous: childOf(name, record) };
    });
  }

  async list({ after, limit }: ListQuery): Promise<{ children: Child[]; more: boolean }> {
    const [entries, more] = await page(this.#deps.metadata.children(after), limit);
    return { children: entries.map(([name, record]) => childOf(name, record)), more };
  }

  /** Call once, when this layer starts. */
  async begin(data: string): Promise<void> {
    const { metadata, now } = this.#deps;
    this.#start = await beginStart(metadata, data, now());
    await this.ensureInstance();
  }

  async getIdentity(): Promise<LayerIdentity> {
    return { instance: await this.ensureInstance(), ...(this.#start && { start: this.#start }) };
  }

  /** Created when it is first needed, at the first start. */
  async ensureInstance(): Promise<string> {
    const { metadata } = this.#deps;
    const known = await metadata.instance();
    if (known) return known;
    return this.#locked(async () => {
      const meanwhile = await metadata.instance();
      if (meanwhile) return meanwhile;
      const instance = randomUUID();
      await metadata.write(put.instance(instance));
      return instance;
    });
  }

  #locked<T>(work: () => Promise<T>): Promise<T> {
    return this.#deps.locks.run('children', work);
  }
}

/** @param before record of the active instance */
function conflict({ name, address }: Activating, before: ChildRecord, more: ActivationConflict): Fault {
  const { since, instance, seen, start } = before;
  const held: ActivationConflict = {
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
