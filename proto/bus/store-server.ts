import type { TSchema } from '@sinclair/typebox';
import type { Request } from '../contract/contract.ts';
import { toStored } from '../contract/envelope.ts';
import { Fault } from '../contract/fault.ts';
import type { JetStreamStore } from '../jetstream/jetstream-store.ts';
import {
  APPEND,
  appendTo,
  countJobs,
  eventId,
  lastEvent,
  MAX_EVENT_BYTES,
  MAX_PAGE,
  onStates,
  PAGE_BYTES,
  readHistoryPage,
  settleJob,
  showHistory,
  submitJob,
  takeJob,
} from '../jetstream/store-requests.ts';
import type { RequestHandler } from './responder.ts';

export type ServeStore = <Q extends TSchema, R extends TSchema>(
  contract: Request<Q, R>,
  handler: RequestHandler<Q, R>,
  options: { quiet: boolean },
) => void;

/** Serves JetStream to the other users, in a process of storage. */
export function serveStore(serve: ServeStore, store: JetStreamStore): void {
  const on: ServeStore = (contract, handler, options) =>
    serve(contract, (query, request) => handler(query, request).catch(unavailable), options);
  const soon = { quiet: false };
  // These wait for a job or an event, but less long than the silence after which their caller gives up.
  const waits = { quiet: true };

  for (const [name, state] of Object.entries(onStates)) {
    const bucket = store.bucket(name);
    on(
      state.get,
      async ({ key }) => {
        const entry = await bucket.get(key);
        return entry ? { entry } : {};
      },
      soon,
    );
    on(state.list, ({ after }) => bucket.list(after), soon);
    on(state.put, ({ key, bytes }) => bucket.put(key, bytes).then(nothing), soon);
    on(
      state.swap,
      async ({ key, bytes, revision }) => {
        const next = await bucket.swap(key, bytes, revision);
        return next === undefined ? {} : { revision: next };
      },
      soon,
    );
    on(state.remove, ({ key }) => bucket.remove(key).then(nothing), soon);
  }

  on(
    appendTo('>'),
    async ({ events }, request) => {
      const subject = request.subject.slice(APPEND.length);
      const stored = events.map(({ id, bytes }) => ({ id, bytes: checked(subject, bytes) }));
      // Sent in one turn, so that the server stores them in this order.
      const sequences = await Promise.all(stored.map(({ id, bytes }) => store.append(subject, id, bytes)));
      return { sequences };
    },
    soon,
  );

  on(submitJob, ({ queue, bytes }) => store.queue(queue).submit(bytes).then(nothing), soon);
  on(
    takeJob,
    async ({ queue }, { ifLost }) => {
      const jobs = store.queue(queue);
      const taken = await jobs.take();
      // The caller is gone: return the job now, instead of at the end of its ack wait.
      if (taken) ifLost(() => void jobs.settle(taken.token, { kind: 'again', ms: 0 }));
      return taken ? { taken } : {};
    },
    waits,
  );
  on(settleJob, ({ queue, token, outcome }) => store.queue(queue).settle(token, outcome).then(nothing), soon);
  on(countJobs, async ({ queue }) => ({ count: await store.queue(queue).backlog() }), soon);

  const { archive } = store;
  on(showHistory, () => archive.bounds(), soon);
  on(
    lastEvent,
    async ({ subject }) => {
      const sequence = await archive.last(subject);
      return sequence === undefined ? {} : { sequence };
    },
    soon,
  );
  on(
    eventId,
    async ({ sequence }) => {
      const id = await archive.idAt(sequence);
      return id === undefined ? {} : { id };
    },
    soon,
  );
  on(
    readHistoryPage,
    async ({ from, subject, wait = 0, limit = MAX_PAGE }, { caller }) => {
      const query = { from, subject, limit, waitMs: wait, maxBytes: PAGE_BYTES };
      const events = await store.page(query, caller.user ?? '');
      // An event that does not fit into an answer is returned without data, so that the reader sees that it exists.
      const fits = ({ data }: { data: Uint8Array }) => data.byteLength <= MAX_EVENT_BYTES;
      return { events: events.map((event) => (fits(event) ? event : { ...event, data: new Uint8Array() })) };
    },
    waits,
  );
}

const nothing = () => ({});

/** An error or a timeout of JetStream is reported to the caller, for its log: storage keeps running. */
function unavailable(cause: unknown): never {
  if (cause instanceof Fault) throw cause;
  const { message } = cause as Error;
  throw new Fault('unavailable', `JetStream does not answer (${message})`, { cause });
}

/** @returns the event as it is stored @throws Fault `malformed` if it does not belong to the subject */
function checked(subject: string, bytes: Uint8Array): Uint8Array {
  const { event, bytes: stored } = toStored(bytes);
  if (subject.startsWith('events.') && event.type !== `terrace.${subject.slice('events.'.length)}`) {
    throw new Fault('malformed', `/type: ${event.type} does not belong to ${subject}`);
  }
  return stored;
}
