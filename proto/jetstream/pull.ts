import { createInbox, type Msg, type NatsConnection } from 'nats';
import { inboxOf, type UserName } from '../contract/users.ts';
import { nanos } from './table.ts';

/** Messages of a pull consumer, asked for a page at a time. */

export type Pulled = {
  sequence: number;
  subject: string;
  data: Uint8Array;
  /** Of the data, also where the consumer brings headers alone. */
  size: number;
  /** How many the consumer has given out, with this one. */
  delivered: number;
  /** How often this one was given out, with this time. */
  deliveries: number;
  /** How many wait behind it. */
  pending: number;
  /** Where it is confirmed. */
  token: string;
};

/** `waitMs` 0: only what is there. */
export type PullOptions = { batch: number; maxBytes?: number; waitMs: number };

/** Later than that, an answer that the server owes is given up, in ms. */
const LATE_MS = 2_000;

/**
 * @param connected aborts when the connection breaks: the server forgets then who waits
 * @throws Error where the server has no such consumer, or does not answer
 */
export async function pull(
  nc: NatsConnection,
  user: UserName,
  { stream, name }: { stream: string; name: string },
  { batch, maxBytes, waitMs }: PullOptions,
  connected: AbortSignal,
): Promise<Pulled[]> {
  const found: Pulled[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const inbox = createInbox(inboxOf(user));
  const late = () => reject(new Error(`${stream} ${name} does not answer`));
  // A process that ends waits for nothing of it.
  const timer = setTimeout(late, waitMs + LATE_MS).unref();
  const broke = () => reject(connected.reason);
  connected.addEventListener('abort', broke, { once: true });
  const subscription = nc.subscribe(inbox, {
    callback: (error, message) => {
      if (error) return reject(error);
      const status = statusOf(message);
      if (status === undefined) {
        found.push(pulled(message));
        if (found.length === batch) resolve();
      } else if (status === NO_MESSAGES || status === WAIT_OVER || isTooLarge(message)) resolve();
      else reject(new Error(`${stream} ${name}: ${status} ${message.headers?.description ?? ''}`));
    },
  });
  try {
    const wait = waitMs > 0 ? { expires: nanos(waitMs) } : { no_wait: true };
    const asked = { batch, ...(maxBytes !== undefined && { max_bytes: maxBytes }), ...wait };
    nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, JSON.stringify(asked), { reply: inbox });
    await promise;
    return found;
  } finally {
    clearTimeout(timer);
    connected.removeEventListener('abort', broke);
    subscription.unsubscribe();
  }
}

const NO_MESSAGES = 404;
const WAIT_OVER = 408;
/** The next one does not fit. Other conflicts, such as too many that wait, are failures. */
const isTooLarge = ({ headers }: Msg) => headers?.code === 409 && /maxbytes/i.test(headers.description);

function statusOf({ headers, data }: Msg): number | undefined {
  return headers && headers.code > 0 && data.length === 0 ? headers.code : undefined;
}

function pulled(message: Msg): Pulled {
  const token = message.reply ?? '';
  const parts = token.split('.');
  // Between `$JS.ACK` and the stream, newer servers may name the domain and the account.
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
