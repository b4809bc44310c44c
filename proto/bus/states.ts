import type { Static, TSchema } from '@sinclair/typebox';
import { backoffMs } from '../async/backoff.ts';
import { pack, type State, unpack } from '../contract/contract.ts';
import type { Log } from '../contract/log.ts';
import type { Bucket, Write } from '../jetstream/store.ts';
import { Watch } from './watch.ts';

/** A value with the revision that a conditional write must name. */
export type StateEntry<T> = { value: T; revision: number };

/** Interval at which watched entries are read again, in case a write was missed, in ms. */
export const REFRESH_MS = 60_000;

/** Delays of the reads after a conditional write, in ms: it is received before it is stored or refused. */
const READ_AFTER_MS = [20, 500];

/** Backoff after a failed read. */
const RETRY = { firstMs: 250, maxMs: 4_000 };

export type StatesDeps = {
  bucket(name: string): Bucket;
  /** Subscribes to the writes of an entry. @returns a function that unsubscribes */
  subscribe(bucket: string, key: string, handler: (write: Write) => void): () => void;
};

/** An entry that violates the schema of its state: written by another version, or damaged on disk. */
export type Unreadable = { bucket: string; key: string; reason: string };

/** Last values, by key. An unreadable entry counts as missing: its owner writes it again. */
export class States {
  readonly #deps: StatesDeps;
  readonly #log: Log;
  readonly #watches = new Set<() => void>();
  readonly #unreadable = new Map<string, Unreadable & { revision: number }>();
  /** Reads started in this turn of the event loop, by bucket and key. */
  readonly #reads = new Map<string, ReturnType<Bucket['get']>>();

  constructor(deps: StatesDeps, log: Log) {
    this.#deps = deps;
    this.#log = log;
  }

  async get<T extends TSchema>(state: State<T>, key: string): Promise<StateEntry<Static<T>> | undefined> {
    const entry = await this.#deps.bucket(state.bucket).get(key);
    if (!entry) {
      this.#unreadable.delete(`${state.bucket}.${key}`);
      return undefined;
    }
    const value = this.#read(state, key, entry);
    return value && { value: value.is, revision: entry.revision };
  }

  /** Unreadable entries among those that this connection has read. */
  unreadable(): Unreadable[] {
    return [...this.#unreadable.values()].map(({ bucket, key, reason }) => ({ bucket, key, reason }));
  }

  /** Logs an unreadable entry once per revision, not at each read. */
  #read<T extends TSchema>(
    { bucket, value: schema }: State<T>,
    key: string,
    { bytes, revision }: { bytes: Uint8Array; revision: number },
  ): { is: Static<T> } | undefined {
    const entryKey = `${bucket}.${key}`;
    try {
      const is = unpack(schema, bytes);
      this.#unreadable.delete(entryKey);
      return { is };
    } catch (err) {
      const { message: reason } = err as Error;
      if (this.#unreadable.get(entryKey)?.revision !== revision) {
        this.#log.warn({ bucket, key, reason }, 'cannot read a state entry; skipped');
      }
      this.#unreadable.set(entryKey, { bucket, key, reason, revision });
      return undefined;
    }
  }

  /** @throws Fault `malformed`, naming the field */
  async put<T extends TSchema>(state: State<T>, key: string, value: Static<T>): Promise<void> {
    await this.#deps.bucket(state.bucket).put(key, pack(state.value, value));
  }

  /**
   * Compare-and-swap: writes only if `revision` is the current one (0: if no readable entry exists).
   * @returns the new revision; `undefined` if another writer was first
   */
  async swap<T extends TSchema>(
    state: State<T>,
    key: string,
    value: Static<T>,
    revision: number,
  ): Promise<number | undefined> {
    const bytes = pack(state.value, value);
    const bucket = this.#deps.bucket(state.bucket);
    const written = await bucket.swap(key, bytes, revision);
    if (written !== undefined || revision !== 0) return written;
    const existing = await bucket.get(key);
    const conflicts = !existing || this.#read(state, key, existing);
    return conflicts ? undefined : bucket.swap(key, bytes, existing.revision);
  }

  async remove<T extends TSchema>(state: State<T>, key: string): Promise<void> {
    await this.#deps.bucket(state.bucket).remove(key);
  }

  /** All readable entries of a state, by key. @throws Fault `unavailable` */
  async list<T extends TSchema>(state: State<T>): Promise<Map<string, Static<T>>> {
    const bucket = this.#deps.bucket(state.bucket);
    const values = new Map<string, Static<T>>();
    const keys = new Set<string>();
    let after: string | undefined;
    for (let more = true; more; ) {
      const page = await bucket.list(after);
      for (const { key, ...entry } of page.entries) {
        keys.add(key);
        const value = this.#read(state, key, entry);
        if (value) values.set(key, value.is);
      }
      after = page.entries.at(-1)?.key;
      more = page.more && after !== undefined;
    }
    for (const [entryKey, { bucket, key }] of this.#unreadable) {
      if (bucket === state.bucket && !keys.has(key)) this.#unreadable.delete(entryKey);
    }
    return values;
  }

  /**
   * Calls the handler with the current value (`undefined`: none) and after each change. The entry is read again at each
   * `refresh`, so a watch survives the loss of the server and of its store.
   * @returns a function that ends the watch
   */
  watch<T extends TSchema>(
    state: State<T>,
    key: string,
    handler: (value: Static<T> | undefined) => void,
  ): () => void {
    const fields = { bucket: state.bucket, key };
    const read = async () => (await this.#getOnce(state.bucket, key))?.bytes;
    const watch = new Watch(read, (bytes) => {
      try {
        handler(bytes ? unpack(state.value, bytes) : undefined);
      } catch (err) {
        this.#log.warn({ err, ...fields }, 'state handler failed');
      }
    });
    let ended = false;
    let retry: NodeJS.Timeout | undefined;
    const refresh = (failures = 0) => {
      clearTimeout(retry);
      watch.refresh().catch((err) => {
        if (ended) return;
        const ms = backoffMs(failures + 1, RETRY);
        this.#log.debug({ err, ms, ...fields }, 'cannot read a state; retrying');
        clearTimeout(retry);
        retry = setTimeout(refresh, ms, failures + 1).unref();
      });
    };
    const reread = () => refresh();
    const unsubscribe = this.#deps.subscribe(state.bucket, key, (write) => {
      if (write === 'conditional') for (const ms of READ_AFTER_MS) setTimeout(reread, ms).unref();
      else watch.update(write === 'removal' ? undefined : write.bytes);
    });
    this.#watches.add(reread);
    reread();
    return () => {
      ended = true;
      clearTimeout(retry);
      this.#watches.delete(reread);
      unsubscribe();
    };
  }

  /** Shares one read between all watches that read the same entry in one turn of the event loop. */
  #getOnce(bucket: string, key: string): ReturnType<Bucket['get']> {
    const entryKey = `${bucket}.${key}`;
    const started = this.#reads.get(entryKey);
    if (started) return started;
    const reading = this.#deps.bucket(bucket).get(key);
    this.#reads.set(entryKey, reading);
    queueMicrotask(() => this.#reads.delete(entryKey));
    return reading;
  }

  /** Reads all watched entries again. */
  refresh(): void {
    for (const refresh of this.#watches) refresh();
  }
}

/** How a message on the subject of an entry changes it. */
export function writeOf(head: { get(name: string): string } | undefined, bytes: Uint8Array): Write {
  if (head?.get('KV-Operation')) return 'removal';
  return head?.get('Nats-Expected-Last-Subject-Sequence') ? 'conditional' : { bytes };
}
