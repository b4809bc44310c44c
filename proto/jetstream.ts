import { type BucketName, buckets, type ConsumerName, consumers, type Stream, streams } from './streams.ts';

/** The table of streams as JetStream's API has it: lengths of time in nanoseconds, of buckets in ms. */

const nanos = (ms: number): number => ms * 1_000_000;

export const streamOf = ({ name, subjects, retention }: Stream) => ({
  name,
  subjects: [...subjects],
  storage: 'file',
  retention,
});

/**
 * What a stream may hold. How long events are kept is up to the configuration: who does not know it leaves that of a
 * stream that is `there` as it is.
 */
export function limitsOf(stream: Stream, eventsMs: number | undefined, there: boolean) {
  const unknown = there ? undefined : streams.events.maxAgeMs;
  const ageMs = stream === streams.events ? (eventsMs ?? unknown) : stream.maxAgeMs;
  return { max_bytes: stream.maxBytes as number, ...(ageMs && { max_age: nanos(ageMs) }) };
}

export function consumerOf(consumer: ConsumerName) {
  const { name, subject, ackWaitMs } = consumers[consumer];
  return {
    durable_name: name,
    filter_subject: subject,
    ack_policy: 'explicit',
    ack_wait: nanos(ackWaitMs),
    max_ack_pending: 1_000,
  };
}

export function bucketOf(bucket: BucketName) {
  const { storage, ttlMs } = buckets[bucket];
  return { history: 1, storage, ...(ttlMs && { ttl: ttlMs }) };
}
