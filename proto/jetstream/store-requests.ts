import { request } from '../contract/contract.ts';
import { Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { type BucketName, buckets, type ConsumerName, consumers } from './streams.ts';

/**
 * Requests to storage for what JetStream stores. Each bucket and each subject of events has request subjects of its
 * own, so that the permissions of the server apply to each.
 */

/** Max stored sizes, in bytes: a message of the bus has at most 1 MiB, including all that surrounds them. */
export const MAX_STATE_BYTES = 512 * 1024;
export const MAX_EVENT_BYTES = 960 * 1024;
/** Max size of the events or entries in one answer, in bytes; a larger one is returned alone. */
export const PAGE_BYTES = 512 * 1024;
/** Max events in one answer. */
export const MAX_PAGE = 500;
/** Max entries of a state in one answer. */
export const MAX_STATE_ENTRIES = 2_000;
/** Max wait for an event, in ms: less than the 6 s of silence after which a caller gives up. */
export const MAX_PULL_WAIT_MS = 5_000;

const Key = Type.String({ pattern: '^[-/_=.a-zA-Z0-9]+$', maxLength: 256 });
const Value = Type.Uint8Array({ maxByteLength: MAX_STATE_BYTES });
/** Above `MAX_STATE_BYTES`: values that were stored before that limit existed are returned too. */
const StoredBytes = Type.Uint8Array({ maxByteLength: MAX_EVENT_BYTES });
const Sequence = Type.Integer({ minimum: 0 });
const Wait = Type.Integer({ minimum: 0, maximum: MAX_PULL_WAIT_MS });
const Nothing = Type.Object({});

const stateRequests = (bucket: string) => ({
  get: request(
    `storage.state.${bucket}.get`,
    Type.Object({ key: Key }),
    Type.Object({ entry: Type.Optional(Type.Object({ bytes: StoredBytes, revision: Sequence })) }),
  ),
  list: request(
    `storage.state.${bucket}.list`,
    Type.Object({ after: Type.Optional(Key) }),
    Type.Object({
      entries: Type.Array(Type.Object({ key: Key, bytes: StoredBytes, revision: Sequence }), {
        maxItems: MAX_STATE_ENTRIES,
      }),
      more: Type.Boolean(),
    }),
  ),
  put: request(`storage.state.${bucket}.put`, Type.Object({ key: Key, bytes: Value }), Nothing),
  swap: request(
    `storage.state.${bucket}.swap`,
    Type.Object({ key: Key, bytes: Value, revision: Sequence }),
    Type.Object({ revision: Type.Optional(Sequence) }),
  ),
  remove: request(`storage.state.${bucket}.remove`, Type.Object({ key: Key }), Nothing),
});

/** Requests for the entries of each bucket. */
export const onStates = Object.fromEntries(
  Object.keys(buckets).map((bucket) => [bucket, stateRequests(bucket)]),
) as Record<BucketName, ReturnType<typeof stateRequests>>;

/** Prefix before the subject of an event to store, such as events.tag.moved. */
export const APPEND = 'storage.append.';
/** Max events in one request. */
export const MAX_APPENDED = 32;
/** Stores events, each once per `id`, in their order. The answer has their sequences. */
export const appendTo = (subject: string) =>
  request(
    `${APPEND}${subject}`,
    Type.Object({
      events: Type.Array(
        Type.Object({
          id: Type.String({ minLength: 1, maxLength: 2_000 }),
          bytes: Type.Uint8Array({ maxByteLength: MAX_EVENT_BYTES }),
        }),
        { minItems: 1, maxItems: MAX_APPENDED },
      ),
    }),
    Type.Object({ sequences: Type.Array(Sequence, { maxItems: MAX_APPENDED }) }),
  );

const names = Object.keys(consumers) as ConsumerName[];
const QueueName = Type.Union(names.map((name) => Type.Literal(name)));
const Token = Type.String({ maxLength: 256 });

export const submitJob = request(
  'storage.job.submit',
  Type.Object({ queue: QueueName, bytes: Type.Uint8Array({ maxByteLength: MAX_STATE_BYTES }) }),
  Nothing,
);
/** Max wait for a job, in ms: then the answer is empty, and the caller sends it again. No signs of life meanwhile. */
export const TAKE_MS = 20_000;
export const takeJob = request(
  'storage.job.take',
  Type.Object({ queue: QueueName }),
  Type.Object({
    taken: Type.Optional(Type.Object({ token: Token, attempt: Type.Integer(), bytes: StoredBytes })),
  }),
);
export const settleJob = request(
  'storage.job.settle',
  Type.Object({
    queue: QueueName,
    token: Token,
    outcome: Type.Union([
      Type.Object({ kind: Type.Literal('done') }),
      Type.Object({ kind: Type.Literal('working') }),
      Type.Object({
        kind: Type.Literal('again'),
        ms: Type.Integer({ minimum: 0, maximum: 24 * 60 * 60_000 }),
      }),
      Type.Object({
        kind: Type.Literal('failed'),
        reason: Type.String({ maxLength: 2_000 }),
        final: Type.Boolean(),
      }),
    ]),
  }),
  Nothing,
);
export const countJobs = request(
  'storage.job.count',
  Type.Object({ queue: QueueName }),
  Type.Object({ count: Type.Integer() }),
);

/** Sequences that the stream of events holds, and its creation time `made`. */
export const showHistory = request(
  'storage.history.show',
  Nothing,
  Type.Object({ first: Sequence, last: Sequence, made: Type.String({ maxLength: 64 }) }),
);
const Filter = Type.String({
  pattern: '^(?:events|below)(?:\\.(?:[A-Za-z0-9_-]+|\\*))*(?:\\.>)?$',
  maxLength: 256,
  description: 'a subject such as events.tag.moved, events.transfer.> or below.>',
});
export const lastEvent = request(
  'storage.history.last',
  Type.Object({ subject: Filter }),
  Type.Object({ sequence: Type.Optional(Sequence) }),
);
export const eventId = request(
  'storage.history.id',
  Type.Object({ sequence: Sequence }),
  Type.Object({ id: Type.Optional(Type.String({ maxLength: 256 })) }),
);

/**
 * Events from this sequence or time on, of all subjects or of one. If none is stored yet, the answer is sent with the
 * first one, or empty after `wait` ms: ask again. No signs of life meanwhile.
 */
export const readHistoryPage = request(
  'storage.history.read',
  Type.Object({
    from: Type.Union([Type.Object({ sequence: Sequence }), Type.Object({ time: Instant })]),
    subject: Type.Optional(Filter),
    wait: Type.Optional(Wait),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE })),
  }),
  Type.Object({
    events: Type.Array(
      Type.Object({
        sequence: Type.Integer({ minimum: 1 }),
        subject: Type.String({ maxLength: 512 }),
        /** Envelope, msgpack. */
        data: StoredBytes,
      }),
      { maxItems: MAX_PAGE },
    ),
  }),
);
export type ReadQuery = Static<typeof readHistoryPage.query>;
