import type { Archive } from './archive.ts';
import type { ConsumerName } from './streams.ts';

/**
 * What JetStream stores for a layer, as the bus uses it. Storage reaches JetStream directly (`jetstream-store.ts`), all
 * other users by requests to storage (`../bus/store-client.ts`).
 *
 * Only storage may publish on subjects that JetStream answers or stores: JetStream sends its answer to any reply
 * subject that a request names, even to one on which the sender of the request may not publish. Such an answer could be
 * an empty request, a stored message as a request, or the configuration of a stream that copies the inbox of another
 * user.
 */
export type Store = {
  /** Stores a message, once per `id` within minutes. @returns its sequence */
  append(subject: string, id: string, bytes: Uint8Array): Promise<number>;
  bucket(name: string): Bucket;
  queue(name: ConsumerName): Queue;
  archive: Archive;
};

/** Last values, by key. */
export type Bucket = {
  get(key: string): Promise<{ bytes: Uint8Array; revision: number } | undefined>;
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** @returns the new revision; undefined if `revision` is not the current one (0: if an entry exists) */
  swap(key: string, bytes: Uint8Array, revision: number): Promise<number | undefined>;
  remove(key: string): Promise<void>;
  /** Entries after this key, ordered by key, as many as fit into one answer. */
  list(after: string | undefined): Promise<{ entries: Listed[]; more: boolean }>;
};

export type Listed = { key: string; bytes: Uint8Array; revision: number };

/** A work queue. */
export type Queue = {
  submit(bytes: Uint8Array): Promise<void>;
  /** Takes the next job; waits for it up to `TAKE_MS`. */
  take(): Promise<Taken | undefined>;
  settle(token: string, outcome: JobOutcome): Promise<void>;
  /** Number of jobs that are queued or in progress. */
  backlog(): Promise<number>;
};

/** A delivered job; `attempt` counts from 0. */
export type Taken = { token: string; attempt: number; bytes: Uint8Array };

/**
 * `working`: still in progress, which restarts the ack wait. `again`: redeliver after `ms`. `failed`: the worker could
 * not do it; the job is dropped if `final`, or after `MAX_JOB_FAILURES`.
 */
export type JobOutcome =
  | { kind: 'done' }
  | { kind: 'working' }
  | { kind: 'again'; ms: number }
  | { kind: 'failed'; reason: string; final: boolean };

/** A write as received on the subject of an entry. `conditional`: it is received even if the server refuses it. */
export type Write = { bytes: Uint8Array } | 'removal' | 'conditional';
