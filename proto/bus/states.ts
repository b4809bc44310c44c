import type { Static, TSchema } from '@sinclair/typebox';
import { backoffMs } from '../async/backoff.ts';
import { pack, type State, unpack } from '../contract/contract.ts';
import type { Log } from '../contract/log.ts';
import type { Bucket, Write } from '../jetstream/store.ts';
import { Watch } from './watch.ts';

/** A value with the revision that a conditional write names. */
export type Entry<T> = { value: T; revision: number };

/** What is watched is read again so often, in case a write was not heard of, in ms. */
export const REFRESH_MS = 60_000;

/** When to read again after a conditional write was heard of: it takes a moment until it is stored or refused. */
const READ_AFTER_MS = [20, 500];

/** When to read again what could not be read. */
const RETRY = { firstMs: 250, maxMs: 4_000 };

export type Buckets = {
  bucket(name: string): Bucket;
  /** Hears each write from now on. Returns what ends it. */
  hear(bucket: string, key: string, heard: (write: Write) => void): () => void;
};

/** An entry that is not as its state is declared, such as another version or a damaged disk leaves it. */
export type Unreadable = { bucket: string; key: string; reason: string };

/** Last values, by key. An entry that can't be read counts as none: whoever owns it writes it again. */
export class States {
  readonly #buckets: Buckets;
  readonly #log: Log;
  readonly #watches = new Set<() => void>();
  readonly #unreadable = new Map<string, Unreadable & { revision: number }>();
  /** Reads begun in this turn, by place. */
  readonly #begun = new Map<string, ReturnType<Bucket['get']>>();

  constructor(buckets: Buckets, log: Log) {
    this.#buckets = buckets;
    this.#log = log;
  }

  async get<T extends TSchema>(state: State<T>, key: string): Promise<Entry<Static<T>> | undefined> {
    const entry = await this.#buckets.bucket(state.bucket).get(key);
    if (!entry) {
      this.#unreadable.delete(`${state.bucket}.${key}`);
      return undefined;
    }
    const value = this.#read(state, key, entry);
    return value && { value: value.is, revision: entry.revision };
  }

  /** The entries that were found and could not be read, as far as this connection has looked. */
  unreadable(): Unreadable[] {
    return [...this.#unreadable.values()].map(({ bucket, key, reason }) => ({ bucket, key, reason }));
  }

  /** Tells of what can't be read once, and not at each look. */
  #read<T extends TSchema>(
    { bucket, value: schema }: State<T>,
    key: string,
    { bytes, revision }: { bytes: Uint8Array; revision: number },
  ): { is: Static<T> } | undefined {
    const place = `${bucket}.${key}`;
    try {
      const is = unpack(schema, bytes);
      this.#unreadable.delete(place);
      return { is };
    } catch (err) {
      const { message: reason } = err as Error;
      if (this.#unreadable.get(place)?.revision !== revision) {
        this.#log.warn({ bucket, key, reason }, 'the entry of a state can not be read, and is left out');
      }
      this.#unreadable.set(place, { bucket, key, reason, revision });
      return undefined;
    }
  }

  /** @throws Fault `malformed`, naming the field */
  async put<T extends TSchema>(state: State<T>, key: string, value: Static<T>): Promise<void> {
    await this.#buckets.bucket(state.bucket).put(key, pack(state.value, value));
  }

  /**
   * Writes only where `revision` is the last one (0: where there is none that can be read).
   * @returns the new revision, or `undefined` where somebody else was first
   */
  async swap<T extends TSchema>(
    state: State<T>,
    key: string,
    value: Static<T>,
    revision: number,
  ): Promise<number | undefined> {
    const bytes = pack(state.value, value);
    const bucket = this.#buckets.bucket(state.bucket);
    const written = await bucket.swap(key, bytes, revision);
    if (written !== undefined || revision !== 0) return written;
    const there = await bucket.get(key);
    const counts = !there || this.#read(state, key, there);
    return counts ? undefined : bucket.swap(key, bytes, there.revision);
  }

  async remove<T extends TSchema>(state: State<T>, key: string): Promise<void> {
    await this.#buckets.bucket(state.bucket).remove(key);
  }

  /** All entries of a state that can be read, by key. @throws Fault `unavailable` */
  async list<T extends TSchema>(state: State<T>): Promise<Map<string, Static<T>>> {
    const bucket = this.#buckets.bucket(state.bucket);
    const found = new Map<string, Static<T>>();
    const keys = new Set<string>();
    let after: string | undefined;
    for (let more = true; more; ) {
      const page = await bucket.list(after);
      for (const { key, ...entry } of page.entries) {
        keys.add(key);
        const value = this.#read(state, key, entry);
        if (value) found.set(key, value.is);
      }
      after = page.entries.at(-1)?.key;
      more = page.more && after !== undefined;
    }
    for (const [place, { bucket, key }] of this.#unreadable) {
      if (bucket === state.bucket && !keys.has(key)) this.#unreadable.delete(place);
    }
    return found;
  }

  /**
   * Calls the handler with the value as it is now (`undefined`: there is none) and each time it has changed. It reads
   * again whenever `refresh` is called, so it outlives the loss of the server and of its store.
   */
  watch<T extends TSchema>(
    state: State<T>,
    key: string,
    handler: (value: Static<T> | undefined) => void,
  ): () => void {
    const where = { bucket: state.bucket, key };
    const read = async () => (await this.#getOnce(state.bucket, key))?.bytes;
    const watch = new Watch(read, (bytes) => {
      try {
        handler(bytes ? unpack(state.value, bytes) : undefined);
      } catch (err) {
        this.#log.warn({ err, ...where }, 'a state could not be handled');
      }
    });
    let ended = false;
    let retry: NodeJS.Timeout | undefined;
    const refresh = (failures = 0) => {
      clearTimeout(retry);
      watch.refresh().catch((err) => {
        if (ended) return;
        const ms = backoffMs(failures + 1, RETRY);
        this.#log.debug({ err, ms, ...where }, 'a state could not be read; reading it again');
        clearTimeout(retry);
        retry = setTimeout(refresh, ms, failures + 1).unref();
      });
    };
    const again = () => refresh();
    const end = this.#buckets.hear(state.bucket, key, (write) => {
      if (write === 'conditional') for (const ms of READ_AFTER_MS) setTimeout(again, ms).unref();
      else watch.hear(write === 'removal' ? undefined : write.bytes);
    });
    this.#watches.add(again);
    again();
    return () => {
      ended = true;
      clearTimeout(retry);
      this.#watches.delete(again);
      end();
    };
  }

  /** What several watch and read in one turn is asked for once. */
  #getOnce(bucket: string, key: string): ReturnType<Bucket['get']> {
    const place = `${bucket}.${key}`;
    const begun = this.#begun.get(place);
    if (begun) return begun;
    const reading = this.#buckets.bucket(bucket).get(key);
    this.#begun.set(place, reading);
    queueMicrotask(() => this.#begun.delete(place));
    return reading;
  }

  /** Reads again what is watched. */
  refresh(): void {
    for (const refresh of this.#watches) refresh();
  }
}
