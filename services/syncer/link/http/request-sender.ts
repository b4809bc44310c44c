import type { Dispatcher } from 'undici';
import type { Backoff } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { unreachable } from '../answers/bodies.ts';
import type { Bandwidth } from '../bandwidth/bandwidth.ts';
import type { LinkAgent } from './agent.ts';
import { FirstByteLimits } from './first-byte-limits.ts';
import { HostHolds } from './host-holds.ts';
import { type RequestBody, SendWatch } from './sending.ts';

export type SenderOptions = {
  /** Connections to the parent, and to all other hosts; they may be the same. */
  agents: () => Agents;
  parent: URL;
  stallMs: number;
  bandwidth: Bandwidth;
  log?: Pick<Log, 'info' | 'warn'> | undefined;
  hold?: Backoff | undefined;
};

export type Agents = { parent: LinkAgent; others: LinkAgent };

/** One request to one host, see `RequestOptions` in `parent-link.ts`. */
export type SentRequest = {
  /** Names the request in messages. */
  what: string;
  method?: string;
  headers?: Record<string, string>;
  body?: RequestBody;
  signal: AbortSignal;
  waitMs?: number;
  /** Whether the request waits while its host limits requests. */
  isHeld: boolean;
  /** Awaited right before the request is sent. If it rejects, the request is not sent. */
  start: () => Promise<void>;
};

/**
 * Sends single requests: holds them back while their host limits requests (`host-hold.ts`), and limits the time to the
 * head of an answer (`first-byte-limits.ts`) and between the bytes of a body.
 */
export class RequestSender implements AsyncDisposable {
  readonly #options: SenderOptions;
  readonly #firstByte: FirstByteLimits;
  readonly #holds: HostHolds;
  #agents: Agents;
  #certificateEnds: number | undefined;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#firstByte = new FirstByteLimits(options.stallMs, options.parent);
    this.#holds = new HostHolds(options.log, options.hold);
    this.#agents = options.agents();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of new Set(Object.values(this.#agents))) await agent.destroy();
  }

  /** Closes idle connections now, and the others when their requests end. */
  closeIdle(): void {
    const old = new Set(Object.values(this.#agents));
    this.#agents = this.#options.agents();
    for (const agent of old) agent.close().catch(() => {});
  }

  /** Round trip to the parent, in ms; undefined while it is unknown. */
  get roundTripMs(): number | undefined {
    return this.#agents.parent.roundTripMs;
  }

  /** When the certificate of the parent ends, in ms since 1970; undefined while it is unknown. */
  get certificateEnds(): number | undefined {
    this.#certificateEnds = this.#agents.parent.certificateEnds ?? this.#certificateEnds;
    return this.#certificateEnds;
  }

  /** See `LinkAgent`. */
  prepareConnections(origin: URL, count: number): void {
    this.#agentFor(origin).prepare(origin, count);
  }

  #agentFor({ origin }: URL): LinkAgent {
    return origin === this.#options.parent.origin ? this.#agents.parent : this.#agents.others;
  }

  /**
   * @returns an answer of any status. If it is a 429, its `Retry-After` says how long the host is held.
   * @throws Fault `parent-unreachable`; `busy` while the host is held; the reason of `signal`; as `start` does
   */
  async send(url: URL, request: SentRequest): Promise<Dispatcher.ResponseData> {
    const { what, method = 'GET', signal, isHeld, start } = request;
    const turn = isHeld ? await this.#holds.enter(url, method, what, signal) : undefined;
    let answer: Dispatcher.ResponseData;
    try {
      await start();
      answer = await this.#dispatch(url, request);
    } catch (error) {
      turn?.failed();
      throw error;
    }
    const { statusCode, headers } = answer;
    const heldMs = turn?.answered(statusCode, headers) ?? 0;
    if (statusCode === 429 && heldMs > 0) headers['retry-after'] = String(Math.ceil(heldMs / 1_000));
    return answer;
  }

  async #dispatch(
    url: URL,
    { what, method = 'GET', headers, body, signal, waitMs = 0 }: SentRequest,
  ): Promise<Dispatcher.ResponseData> {
    const { stallMs, bandwidth } = this.#options;
    const watch = body && body.size > 0 ? new SendWatch(stallMs) : undefined;
    const anySignal = watch ? AbortSignal.any([signal, watch.signal]) : signal;
    const length = body && { 'content-length': String(body.size) };
    // A long poll and a body have limits of their own.
    const isPlain = waitMs === 0 && !watch;
    const firstByteMs = isPlain ? this.#firstByte.limitFor(url) : stallMs;
    const startedAt = performance.now();
    try {
      const answer = await this.#agentFor(url).request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: { 'user-agent': 'terrace', ...headers, ...length },
        // Undici applies this timeout while the body is still being written, despite progress: `SendWatch` replaces it.
        headersTimeout: watch ? 0 : firstByteMs + waitMs + (body?.slackMs ?? 0),
        // Set for each request: a connection through a proxy does not have the agent's limits.
        bodyTimeout: stallMs,
        body: watch && body ? watch.body(body, bandwidth, anySignal) : null,
        signal: anySignal,
      } as Dispatcher.RequestOptions);
      // A body that is discarded unread emits an error that has no other listener. A reader still gets it thrown.
      answer.body.on('error', () => {});
      this.#firstByte.answered(url, isPlain ? performance.now() - startedAt : 0, answer.statusCode < 500);
      return answer;
    } catch (cause) {
      if (isPlain && isFirstByteTimeout(cause)) throw this.#unanswered(url, firstByteMs, what);
      throw unreachable(cause, anySignal, what);
    } finally {
      watch?.end();
    }
  }

  /** The Fault for a request without an answer in time. The next one for the same resource may get more time. */
  #unanswered(url: URL, ms: number, what: string): Fault {
    const isWorking = this.#firstByte.works(url);
    const next = this.#firstByte.timedOut(url, ms);
    if (next !== undefined) {
      const fields = { request: what, ms: Math.round(ms), nextMs: Math.round(next) };
      this.#options.log?.info(fields, 'the parent is slow to answer; the next attempt waits longer');
    }
    const longer = next === undefined ? '' : `, the next attempt waits ${Math.round(next) / 1_000} s`;
    return new Fault('parent-unreachable', `${what}: no answer within ${Math.round(ms) / 1_000} s${longer}`, {
      detail: { isSlow: isWorking && next !== undefined },
    });
  }
}

const isFirstByteTimeout = (cause: unknown): boolean =>
  (cause as { code?: unknown }).code === 'UND_ERR_HEADERS_TIMEOUT';
