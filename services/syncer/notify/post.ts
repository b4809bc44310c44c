import { readFile } from 'node:fs/promises';
import { clip } from '#proto/contract/clip.ts';
import { MAX_REASON } from '#proto/contract/fault.ts';
import type { Receiver } from '#proto/document/notifications.ts';
import { makeAgent } from '../link/http/agent.ts';
import type { Notice } from './notice.ts';
import { signaturesOf } from './signature.ts';
import { type Verdict, verdictOf } from './verdict.ts';

/** How long a receiver may take to answer, in ms. */
const ANSWER_MS = 15_000;
/** How long after the end of it all, in ms. */
const LINGER_MS = 1_000;
/** What is read of an answer, so that its connection can be used again, in bytes. */
const ANSWER_BYTES = 64 * 1024;

/** Brings events to one receiver, one request each. Its files are read each time: they may have changed. */
export class Post implements AsyncDisposable {
  readonly #to: Receiver;
  readonly #answerMs: number;
  #agent: { ca: string | undefined; agent: ReturnType<typeof makeAgent> } | undefined;

  constructor(to: Receiver, answerMs = ANSWER_MS) {
    this.#to = to;
    this.#answerMs = answerMs;
  }

  /** @throws the reason of `signal`, and nothing else */
  async send({ id, body }: Notice, signal: AbortSignal): Promise<Verdict> {
    const late = AbortSignal.timeout(this.#answerMs);
    using until = lingering(signal);
    try {
      const { secretFile, caFile } = this.#to;
      const ca = caFile === undefined ? undefined : await read('caFile', caFile);
      const signed = secretFile === undefined ? {} : sign(await read('secretFile', secretFile), id, body);
      const { origin, pathname, search } = new URL(this.#to.url);
      const answer = await this.#through(ca).request({
        origin,
        path: `${pathname}${search}`,
        method: 'POST',
        headers: {
          'content-type': 'application/cloudevents+json; charset=utf-8',
          'user-agent': 'terrace',
          ...signed,
        },
        body,
        signal: AbortSignal.any([until.signal, late]),
      });
      // It has taken the event, or not, whatever becomes of the rest of its answer.
      void answer.body.dump({ limit: ANSWER_BYTES, signal: late }).catch(() => {});
      return verdictOf(answer.statusCode, answer.headers);
    } catch (error) {
      signal.throwIfAborted();
      const within = `no answer in ${this.#answerMs / 1_000} s`;
      return { kind: 'again', reason: late.aborted ? within : clip(reasonOf(error), MAX_REASON) };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent?.agent.destroy();
  }

  #through(ca: string | undefined): ReturnType<typeof makeAgent> {
    if (this.#agent && this.#agent.ca === ca) return this.#agent.agent;
    void this.#agent?.agent.close().catch(() => {});
    const agent = makeAgent(this.#answerMs, ca);
    this.#agent = { ca, agent };
    return agent;
  }
}

/** One that is on its way when the end comes may still be answered: else it would be told again. */
function lingering(signal: AbortSignal): Disposable & { signal: AbortSignal } {
  const end = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const wait = () => {
    timer = setTimeout(() => end.abort(signal.reason), LINGER_MS);
  };
  signal.addEventListener('abort', wait, { once: true });
  return {
    signal: end.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wait);
    },
  };
}

function sign(secrets: string, id: string, body: string): Record<string, string> {
  // The parts of what is signed are told apart by full stops.
  const name = id.replaceAll('.', '_');
  const timestamp = Math.floor(Date.now() / 1_000);
  const signature = signaturesOf(secrets, { id: name, timestamp, body });
  if (signature === undefined) throw new Error('secretFile holds no secret');
  return {
    'webhook-id': name,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signature,
  };
}

/** @throws Error that names the field, never what the file holds */
async function read(field: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new Error(`${field} can't be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** Of several addresses that were tried, each has its own. */
function reasonOf(error: unknown): string {
  const { message, code, errors, cause } = error as Error & { code?: string; errors?: unknown[] };
  if (!message && errors?.[0]) return reasonOf(errors[0]);
  if (cause instanceof Error && cause.message) return `${message}: ${cause.message}`;
  return message || code || 'no connection';
}
