import type { Archive } from './archive.ts';
import type { ConsumerName } from './streams.ts';

/**
 * What JetStream keeps of a layer, as the bus uses it. Storage reaches JetStream itself (`jetstream-store.ts`),
 * everybody else asks storage for it (`store-client.ts`).
 *
 * Nobody but storage may say a subject that JetStream answers or keeps: JetStream sends its answer to whatever subject
 * the question names for it, also to one that the asker itself may not use. That answer would be an empty request, a
 * stored message as a request, or the configuration of a stream that copies the inbox of somebody else.
 */
export type Store = {
  /** Stores once what comes twice with one id within minutes. @returns its sequence */
  append(subject: string, id: string, bytes: Uint8Array): Promise<number>;
  bucket(name: string): Bucket;
  queue(name: ConsumerName): Queue;
  archive: Archive;
};

/** Last values, by key. */
export type Bucket = {
  get(key: string): Promise<{ bytes: Uint8Array; revision: number } | undefined>;
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** @returns the new revision; undefined where `revision` is not the last one (0: where there is one) */
  swap(key: string, bytes: Uint8Array, revision: number): Promise<number | undefined>;
  remove(key: string): Promise<void>;
  /** Entries in the order of their keys, as many as fit into one answer. */
  list(after: string | undefined): Promise<{ entries: Listed[]; more: boolean }>;
};

export type Listed = { key: string; bytes: Uint8Array; revision: number };

/** Jobs that wait for a worker. */
export type Queue = {
  submit(bytes: Uint8Array): Promise<void>;
  /** Waits a while for one. */
  take(): Promise<Taken | undefined>;
  settle(token: string, outcome: Outcome): Promise<void>;
  /** How many wait for a worker or are with one. */
  backlog(): Promise<number>;
};

/** One job as the queue gave it out; `attempt` counts from 0. */
export type Taken = { token: string; attempt: number; bytes: Uint8Array };

/** `working`: not done yet, and not forgotten. `failed`: the worker could not do it; after a few of those it is dropped. */
export type Outcome =
  | { kind: 'done' }
  | { kind: 'working' }
  | { kind: 'again'; ms: number }
  | { kind: 'failed'; reason: string; final: boolean };

/** `conditional`: it may have been refused, and is heard of all the same. */
export type Write = { bytes: Uint8Array } | 'removal' | 'conditional';
