/** How much of the stream of events is whose, and how room is made in it. */

/** `limit`: above it, the server takes away the oldest events, whoever's they are. */
export type StreamSize = { bytes: number; limit: number };
/** One event of the stream; `bytes` is about what it takes there. */
export type SizedEvent = { sequence: number; subject: string; bytes: number };

export type Room = {
  size(): Promise<StreamSize>;
  /** Whether there is an event of this subject, wildcards and all. */
  has(subject: string): Promise<boolean>;
  /** Looks at all events, without what they say. It takes seconds where the stream is full. */
  scan(visit: (event: SizedEvent) => void): Promise<void>;
  /** Takes away all events of the subject before this one. @returns how many these were */
  trim(subject: string, before: number): Promise<number>;
};

/** What a consumer sends: an event, or `status`, where `reply` asks whether the receiver keeps up. */
export type Sent = { status: number; reply: string; sequence: number; subject: string; bytes: number };

/** The part of JetStream that is used here, of the stream of events. */
export type RoomMeans = {
  /** With a filter, its subjects. */
  info(filter?: string): Promise<{
    config: { max_bytes: number };
    state: { bytes: number; last_seq: number; subjects?: Record<string, number> };
  }>;
  purge(options: { filter: string; seq: number }): Promise<{ purged: number }>;
  /** @returns its name */
  makeConsumer(config: object): Promise<string>;
  dropConsumer(name: string): void;
  /** Hears what comes to an inbox of its own. */
  hear(heard: (sent: Sent) => void): { inbox: string; end(): void };
  /** The receiver keeps up. */
  goOn(reply: string): void;
};

/** Of headers, subject and what the server keeps beside them. */
const BESIDE_BYTES = 150;
/** The server shows a sign of life this often; without one for so long, it is given up. */
const BEAT_MS = 2_000;
const SILENCE_MS = 15_000;
const NANOS = 1e6;
/** An idle heartbeat, or a question whether the receiver keeps up. */
const CONTROL = 100;

export function roomOf(means: RoomMeans): Room {
  const { info, purge } = means;
  return {
    size: async () => {
      const { config, state } = await info();
      return { bytes: state.bytes, limit: config.max_bytes };
    },
    has: async (subject) => Object.keys((await info(subject)).state.subjects ?? {}).length > 0,
    scan: (visit) => scan(means, visit),
    trim: async (subject, before) => (await purge({ filter: subject, seq: before })).purged,
  };
}

/** @throws Error where the server falls silent */
async function scan(
  { info, makeConsumer, dropConsumer, hear, goOn }: RoomMeans,
  visit: (event: SizedEvent) => void,
): Promise<void> {
  const { last_seq: last } = (await info()).state;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const silent = () => reject(new Error('the server tells no events'));
  const timer = setTimeout(silent, SILENCE_MS).unref();
  const { inbox, end } = hear(({ status, reply, sequence, subject, bytes }) => {
    timer.refresh();
    if (status === CONTROL && reply) goOn(reply);
    // It has nothing more to send.
    else if (status === CONTROL) resolve();
    else {
      visit({ sequence, subject, bytes: bytes + BESIDE_BYTES });
      if (sequence >= last) resolve();
    }
  });
  let name: string | undefined;
  try {
    name = await makeConsumer({
      deliver_subject: inbox,
      deliver_policy: 'all',
      ack_policy: 'none',
      headers_only: true,
      mem_storage: true,
      flow_control: true,
      idle_heartbeat: BEAT_MS * NANOS,
      inactive_threshold: 2 * SILENCE_MS * NANOS,
    });
    if (last > 0) await promise;
  } finally {
    clearTimeout(timer);
    end();
    if (name !== undefined) dropConsumer(name);
  }
}
