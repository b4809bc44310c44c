import type { Static, TSchema } from '@sinclair/typebox';
import { pack, type State, unpack } from './contract.ts';
import { Fault } from './fault.ts';
import type { Log } from './log.ts';
import { Watch } from './watch.ts';

/** A value with the revision that a conditional write names. */
export type Entry<T> = { value: T; revision: number };

/** The part of a NATS key-value bucket that is used here. */
export type Bucket = {
  get(key: string): Promise<{ operation: string; value: Uint8Array; revision: number } | null>;
  put(key: string, bytes: Uint8Array): Promise<number>;
  create(key: string, bytes: Uint8Array): Promise<number>;
  update(key: string, bytes: Uint8Array, revision: number): Promise<number>;
  delete(key: string): Promise<void>;
  keys(): Promise<AsyncIterable<string> & { stop(): void }>;
};

/** `conditional`: it may have been refused, and is heard of all the same. */
export type Write = { bytes: Uint8Array } | 'removal' | 'conditional';

/** When to read again after a conditional write was heard of: it takes a moment until it is stored or refused. */
const READ_AFTER_MS = [20, 500];

/** How long a list of keys may take. */
const LIST_MS = 5_000;

export type Buckets = {
  open(bucket: string): Promise<Bucket>;
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

  constructor(buckets: Buckets, log: Log) {
    this.#buckets = buckets;
    this.#log = log;
  }

  async get<T extends TSchema>(state: State<T>, key: string): Promise<Entry<Static<T>> | undefined> {
    const entry = await (await this.#open(state)).get(key);
    if (entry?.operation !== 'PUT') {
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
    { value: bytes, revision }: { value: Uint8Array; revision: number },
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
    const bytes = pack(state.value, value);
    await (await this.#open(state)).put(key, bytes);
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
    const bucket = await this.#open(state);
    const write = (last: number) =>
      unlessBehind(last === 0 ? bucket.create(key, bytes) : bucket.update(key, bytes, last));
    const written = await write(revision);
    if (written !== undefined || revision !== 0) return written;
    const there = await bucket.get(key);
    const counts = there?.operation !== 'PUT' || this.#read(state, key, there);
    return counts ? undefined : write(there.revision);
  }

  async remove<T extends TSchema>(state: State<T>, key: string): Promise<void> {
    await (await this.#open(state)).delete(key);
  }

  /** All entries of a state that can be read, by key. @throws Fault `unavailable` where the server does not tell them in time */
  async list<T extends TSchema>(state: State<T>): Promise<Map<string, Static<T>>> {
    const keys: string[] = [];
    // The iterator drops what arrives while its consumer awaits something else.
    const reading = await (await this.#open(state)).keys();
    let late = false;
    // A server that goes away meanwhile leaves it waiting.
    const timer = setTimeout(() => {
      late = true;
      reading.stop();
    }, LIST_MS);
    for await (const key of reading) keys.push(key);
    clearTimeout(timer);
    if (late) throw new Fault('unavailable', `the entries of ${state.bucket} were not told in ${LIST_MS} ms`);
    const found = new Map<string, Static<T>>();
    for (const [place, { bucket, key }] of this.#unreadable) {
      if (bucket === state.bucket && !keys.includes(key)) this.#unreadable.delete(place);
    }
    for (const key of keys) {
      const entry = await this.get(state, key);
      if (entry) found.set(key, entry.value);
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
    const read = async () => {
      const entry = await (await this.#open(state)).get(key);
      return entry?.operation === 'PUT' ? entry.value : undefined;
    };
    const watch = new Watch(read, (bytes) => {
      try {
        handler(bytes ? unpack(state.value, bytes) : undefined);
      } catch (err) {
        this.#log.warn({ err, ...where }, 'a state could not be handled');
      }
    });
    const refresh = () => {
      watch.refresh().catch((err) => this.#log.debug({ err, ...where }, 'a state could not be read'));
    };
    const end = this.#buckets.hear(state.bucket, key, (write) => {
      if (write === 'conditional') for (const ms of READ_AFTER_MS) setTimeout(refresh, ms).unref();
      else watch.hear(write === 'removal' ? undefined : write.bytes);
    });
    this.#watches.add(refresh);
    refresh();
    return () => {
      this.#watches.delete(refresh);
      end();
    };
  }

  /** Reads again what is watched. */
  refresh(): void {
    for (const refresh of this.#watches) refresh();
  }

  #open(state: State): Promise<Bucket> {
    return this.#buckets.open(state.bucket);
  }
}

async function unlessBehind(writing: Promise<number>): Promise<number | undefined> {
  try {
    return await writing;
  } catch (error) {
    // JetStream error 10071: wrong last sequence.
    if ((error as { api_error?: { err_code: number } }).api_error?.err_code === 10071) return undefined;
    throw error;
  }
}
