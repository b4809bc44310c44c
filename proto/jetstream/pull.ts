import { createInbox, type Msg, type NatsConnection } from 'nats';
import { inboxOf, type UserName } from '../contract/users.ts';
import { nanos } from './stream-table.ts';

/** Fetches messages of a pull consumer, a page at a time. */

export type Pulled = {
  sequence: number;
  subject: string;
  data: Uint8Array;
  /** Size of the data in bytes, also if the consumer delivers headers only. */
  size: number;
  /** Messages that the consumer has delivered, including this one. */
  delivered: number;
  /** Deliveries of this message, including this one. */
  deliveries: number;
  /** Messages that are queued behind it. */
  pending: number;
  /** Subject of its ack. */
  token: string;
};

/** `waitMs` 0: returns only messages that are stored already. */
export type PullOptions = { batch: number; maxBytes?: number; waitMs: number };

/** How long after `waitMs` the answer of the server may arrive, in ms. */
const LATE_MS = 2_000;

/**
 * Fetches up to `batch` messages.
 * @param connected aborts when the connection breaks, as the server then drops the pulls that wait
 * @throws Error if the server has no such consumer, or does not answer
 */
export async function pull(
  nc: NatsConnection,
  user: UserName,
  { stream, name }: { stream: string; name: string },
  { batch, maxBytes, waitMs }: PullOptions,
  connected: AbortSignal,
): Promise<Pulled[]> {
  const messages: Pulled[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const inbox = createInbox(inboxOf(user));
  const late = () => reject(new Error(`${stream} ${name} does not answer`));
  const onAbort = () => reject(connected.reason);
  // First: it throws on a closed connection, when nothing may be left that rejects a promise that is not awaited.
  const subscription = nc.subscribe(inbox, {
    callback: (error, message) => {
      if (error) return reject(error);
      const status = statusOf(message);
      if (status === undefined) {
        messages.push(pulled(message));
        if (messages.length === batch) resolve();
      } else if (status === NO_MESSAGES || status === WAIT_OVER || isTooLarge(message)) resolve();
      else reject(new Error(`${stream} ${name}: ${status} ${message.headers?.description ?? ''}`));
    },
  });
  // Does not delay the exit of the process.
  const timer = setTimeout(late, waitMs + LATE_MS).unref();
  connected.addEventListener('abort', onAbort, { once: true });
  try {
    const wait = waitMs > 0 ? { expires: nanos(waitMs) } : { no_wait: true };
    const request = { batch, ...(maxBytes !== undefined && { max_bytes: maxBytes }), ...wait };
    nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, JSON.stringify(request), { reply: inbox });
    await promise;
    return messages;
  } finally {
    clearTimeout(timer);
    connected.removeEventListener('abort', onAbort);
    subscription.unsubscribe();
  }
}

const NO_MESSAGES = 404;
const WAIT_OVER = 408;
/** The next message exceeds `maxBytes`. Other conflicts, such as too many waiting pulls, are failures. */
const isTooLarge = ({ headers }: Msg) => headers?.code === 409 && /maxbytes/i.test(headers.description);

function statusOf({ headers, data }: Msg): number | undefined {
  return headers && headers.code > 0 && data.length === 0 ? headers.code : undefined;
}

function pulled(message: Msg): Pulled {
  const token = message.reply ?? '';
  const parts = token.split('.');
  // Newer servers may insert the domain and the account between `$JS.ACK` and the stream.
  const [deliveries, sequence, delivered, , pending] = parts
    .slice(parts.length > 9 ? 6 : 4)
    .map(Number) as number[];
  return {
    sequence: sequence as number,
    subject: message.subject,
    data: message.data,
    size: Number(message.headers?.get('Nats-Msg-Size') || message.data.byteLength),
    delivered: delivered as number,
    deliveries: deliveries as number,
    pending: pending as number,
    token,
  };
}
