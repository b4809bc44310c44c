import type { Static, TSchema } from '@sinclair/typebox';
import { Turns } from '../async/turns.ts';
import { type Request, unpack } from '../contract/contract.ts';
import { Fault } from '../contract/fault.ts';
import type { Archive } from '../jetstream/archive.ts';
import type { Bucket, Queue, Store } from '../jetstream/store.ts';
import {
  appendTo,
  countJobs,
  eventId,
  lastEvent,
  onStates,
  readHistoryPage,
  settleJob,
  showHistory,
  submitJob,
  TAKE_MS,
  takeJob,
} from '../jetstream/store-requests.ts';
import type { BucketName, ConsumerName } from '../jetstream/streams.ts';
import { LEASE_MS, lease } from '../status/status.ts';
import { Appends } from './appends.ts';
import type { CallOptions } from './calls.ts';

/**
 * Silence after which a request about a lease fails, in ms. If storage is killed, a pending renewal then fails before
 * the lease ends, and the next one reaches the restarted storage.
 */
const LEASE_SILENCE_MS = LEASE_MS / 2;
/** How long after `TAKE_MS` the answer that no job is queued may arrive, in ms. */
const TAKE_LATE_MS = 6_000;

/**
 * Max pages of the history that this process searches at a time, and how long another one waits for its turn, in ms:
 * several processes of a user stay below what storage reads for one. A page that waits for events searches nothing.
 */
const MAX_SEARCHING = 4;
const SEARCH_PATIENCE_MS = 20_000;

type Call = <Q extends TSchema, R extends TSchema>(
  contract: Request<Q, R>,
  query: Static<Q>,
  options?: CallOptions,
) => Promise<Static<R>>;

/**
 * JetStream for all users but storage: each operation is a request to storage, and throws Fault `unavailable` while
 * storage is unavailable.
 * @param patience how long to retry then, in ms
 */
export function storeBy(call: Call, patience: number): Store {
  // Brittle, as all of these requests may be sent twice.
  const ask: Call = (contract, query, options) =>
    call(contract, query, { patience, brittle: true, ...options });
  const askForLease: Call = (contract, query) => ask(contract, query, { silenceMs: LEASE_SILENCE_MS });
  const appends = new Appends(
    async (subject, events) => (await ask(appendTo(subject), { events })).sequences,
  );
  return {
    append: appends.append.bind(appends),
    bucket: (name) => bucketBy(name === lease.bucket ? askForLease : ask, name as BucketName),
    queue: (name) => queueBy(ask, name),
    archive: archiveBy(ask),
  };
}

function bucketBy(ask: Call, name: BucketName): Bucket {
  const on = onStates[name];
  return {
    get: async (key) => (await ask(on.get, { key })).entry,
    put: async (key, bytes) => void (await ask(on.put, { key, bytes })),
    swap: async (key, bytes, revision) => (await ask(on.swap, { key, bytes, revision })).revision,
    remove: async (key) => void (await ask(on.remove, { key })),
    list: (after) => ask(on.list, { ...(after !== undefined && { after }) }),
  };
}

function queueBy(ask: Call, queue: ConsumerName): Queue {
  /** Returns a job that arrives after its caller has given up, for another worker. */
  const late = ({ data }: { data: Uint8Array }) => {
    try {
      const { taken } = unpack(takeJob.reply, data);
      const outcome = { kind: 'again', ms: 0 } as const;
      if (taken) ask(settleJob, { queue, token: taken.token, outcome }).catch(() => {});
    } catch {
      // A fault, or no responder: no job was taken.
    }
  };
  return {
    submit: async (bytes) => void (await ask(submitJob, { queue, bytes })),
    take: async () => {
      try {
        return (await ask(takeJob, { queue }, { silenceMs: TAKE_MS + TAKE_LATE_MS, late })).taken;
      } catch (error) {
        // The request was lost with the process that had it, or that process answers later: see `late`.
        if (Fault.is(error, 'unavailable') && error.detail?.restarted) return undefined;
        throw error;
      }
    },
    settle: async (token, outcome) => void (await ask(settleJob, { queue, token, outcome })),
    backlog: async () => (await ask(countJobs, { queue })).count,
  };
}

function archiveBy(ask: Call): Archive {
  const turns = new Turns(MAX_SEARCHING, SEARCH_PATIENCE_MS, 'many pages of events are already being read');
  return {
    bounds: () => ask(showHistory, {}),
    last: async (subject) => (await ask(lastEvent, { subject })).sequence,
    idAt: async (sequence) => (await ask(eventId, { sequence })).id,
    read: async ({ from, subject, limit, waitMs }) => {
      const query = { from, limit, wait: waitMs, ...(subject !== undefined && { subject }) };
      const read = () => ask(readHistoryPage, query);
      return (await (waitMs > 0 ? read() : turns.run(read))).events;
    },
  };
}
