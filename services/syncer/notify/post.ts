import { readFile } from 'node:fs/promises';
import { clip } from '#proto/contract/clip.ts';
import { MAX_REASON_LENGTH } from '#proto/contract/fault.ts';
import type { Receiver } from '#proto/document/notifications.ts';
import { certificateHint } from '#proto/process/clock-hint.ts';
import { type LinkAgent, makeAgent } from '../link/http/agent.ts';
import type { WebhookNotice } from './notice.ts';
import { signaturesOf } from './signature.ts';
import { type DeliveryVerdict, verdictOf } from './verdict.ts';

/** Max time for the answer of a receiver, in ms. */
const ANSWER_MS = 15_000;
/** Max time for the answer to a request in flight after the signal aborted, in ms. */
const LINGER_MS = 1_000;
/** Max bytes read of an answer, so that its connection can be reused. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** Sends notices to a receiver. */
export interface NoticeSender {
  send(notice: WebhookNotice, signal: AbortSignal): Promise<DeliveryVerdict>;
}

/** Sends notices to one receiver, one request each. `secretFile` and `caFile` are read each time: they may change. */
export class WebhookPost implements NoticeSender, AsyncDisposable {
  readonly #to: Receiver;
  readonly #answerMs: number;
  #agent: { ca: string | undefined; agent: LinkAgent } | undefined;

  constructor(to: Receiver, answerMs = ANSWER_MS) {
    this.#to = to;
    this.#answerMs = answerMs;
  }

  /** @throws the reason of `signal`, and nothing else */
  async send({ id, body }: WebhookNotice, signal: AbortSignal): Promise<DeliveryVerdict> {
    const timeout = AbortSignal.timeout(this.#answerMs);
    using linger = lingering(signal);
    try {
      const { secretFile, caFile } = this.#to;
      const ca = caFile === undefined ? undefined : await read('caFile', caFile);
      const signed = secretFile === undefined ? {} : sign(await read('secretFile', secretFile), id, body);
      const { origin, pathname, search } = new URL(this.#to.url);
      const answer = await this.#agentFor(ca).request({
        origin,
        path: `${pathname}${search}`,
        method: 'POST',
        headers: {
          'content-type': 'application/cloudevents+json; charset=utf-8',
          'user-agent': 'terrace',
          ...signed,
        },
        body,
        signal: AbortSignal.any([linger.signal, timeout]),
      });
      // The status alone decides: a failure while reading the body does not matter.
      void answer.body.dump({ limit: MAX_ANSWER_BYTES, signal: timeout }).catch(() => {});
      return verdictOf(answer.statusCode, answer.headers);
    } catch (error) {
      signal.throwIfAborted();
      const timedOut = `no answer in ${this.#answerMs / 1_000} s`;
      return { kind: 'retry', reason: timeout.aborted ? timedOut : clip(reasonOf(error), MAX_REASON_LENGTH) };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent?.agent.destroy();
  }

  #agentFor(ca: string | undefined): LinkAgent {
    if (this.#agent && this.#agent.ca === ca) return this.#agent.agent;
    void this.#agent?.agent.close().catch(() => {});
    const agent = makeAgent(this.#answerMs, ca);
    this.#agent = { ca, agent };
    return agent;
  }
}

/** Aborts `LINGER_MS` after `signal`: without its answer, a notice in flight would be sent again. */
function lingering(signal: AbortSignal): Disposable & { signal: AbortSignal } {
  const end = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const startTimer = () => {
    timer = setTimeout(() => end.abort(signal.reason), LINGER_MS);
  };
  signal.addEventListener('abort', startTimer, { once: true });
  return {
    signal: end.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', startTimer);
    },
  };
}

function sign(secrets: string, id: string, body: string): Record<string, string> {
  // Full stops separate the parts of the signed text.
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

/** @throws Error that names the field, never the content of the file */
async function read(field: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new Error(`${field} can't be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** If several addresses were tried, each has an error: the first one counts. */
function reasonOf(error: unknown): string {
  const { message, code, errors, cause } = error as Error & { code?: string; errors?: unknown[] };
  if (!message && errors?.[0]) return reasonOf(errors[0]);
  const hint = certificateHint(code);
  if (hint) return hint;
  if (cause instanceof Error && cause.message) return `${message}: ${cause.message}`;
  return message || code || 'no connection';
}
