import type { Dispatcher, EnvHttpProxyAgent } from 'undici';
import { unlessAborted } from '#proto/async/unless-aborted.ts';
import { Fault } from '#proto/contract/fault.ts';
import { refusal } from '../answers/answers.ts';
import { type Answer, text, unreachable, WORD_LIMIT, whole } from '../answers/bodies.ts';
import { type Bandwidth, REQUEST_BYTES, UNLIMITED } from '../bandwidth/bandwidth.ts';
import { Credentials, type Granted, type Login } from '../login/credentials.ts';
import { Exchange } from '../login/exchange.ts';
import type { Identity } from '../login/identity.ts';
import { fieldsOf, grantedIn } from '../login/token-answer.ts';
import { makeAgent } from './agent.ts';
import { Reach, type Resolve } from './reach.ts';
import { MAX_HOPS, mustKeepTls, notFollowed, type Redirects, target } from './redirects.ts';
import { SendWatch, type Sent, sent } from './sending.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type Ask = {
  /** For the parent's token service: `repository:<name>:pull`; several with blanks between them. */
  scope: string;
  headers?: Record<string, string>;
  method?: Method;
  body?: Sent;
  signal: AbortSignal;
  /** The parent may wait for so long before it answers, in ms. */
  waitMs?: number;
  /** Whoever asks has paid for the request already, with what it is to bring. */
  paid?: boolean;
  /** Called right before the request is sent, each time that it is; what it throws keeps it from being sent. */
  before?: () => void;
  /** Where the answer is a redirect; `refuse` where left out. */
  redirects?: Redirects;
};

export type LinkOptions = {
  url: string;
  login?: Login | undefined;
  /** The parent is an Azure Container Registry, and who this layer is there where it has no login. */
  azure?: { identity?: Identity | undefined } | undefined;
  /** A connection on which nothing moves for so long is given up, in ms. */
  stallMs?: number;
  /** Certificates (PEM) to trust beside those that the machine does. */
  ca?: string | undefined;
  bandwidth?: Bandwidth;
  /** Of other private networks than the parent's, what it may send this layer to. */
  allowedHosts?: readonly string[] | undefined;
  resolve?: Resolve;
};

const STALL_MS = 20_000;
/** Statuses that mean something else where the parent itself answers them. */
const AMBIGUOUS = [400, 404, 405, 410, 416, 501];
/** By which ACR counts its clients (Azure/acr, http-headers). */
const SOURCE_CLIENT = { 'x-meta-source-client': 'on-prem/terrace' };

/**
 * HTTP to the parent: authorization by its challenges, redirects, time-outs by lack of progress, proxies by the usual
 * environment variables. Every failure to get an answer is a Fault `parent-unreachable`.
 */
export class Link implements AsyncDisposable {
  readonly base: URL;
  readonly bandwidth: Bandwidth;
  /** Whether the parent is an Azure Container Registry. */
  readonly azure: boolean;
  readonly #stallMs: number;
  readonly #ca: string | undefined;
  readonly #credentials: Credentials;
  readonly #reach: Reach;
  #agent: EnvHttpProxyAgent;
  /** Of the token requests under way, which no one request may end. */
  #resting = new AbortController();
  /** How often the parent itself has answered, or whatever stands for it: an error of a proxy does not count. */
  answers = 0;
  /** Bytes that came and are not paid for. */
  #owed = 0;

  constructor(options: LinkOptions) {
    const { url, login, azure, stallMs = STALL_MS, ca, bandwidth = UNLIMITED } = options;
    this.base = new URL(url);
    this.bandwidth = bandwidth;
    this.#reach = new Reach(this.base, options.allowedHosts, options.resolve);
    this.azure = azure !== undefined;
    this.#stallMs = stallMs;
    this.#ca = ca;
    this.#agent = makeAgent(stallMs, ca, this.#reach.lookup);
    const source =
      azure?.identity && new Exchange(this.base, azure.identity, (at, form) => this.#post(at, form));
    const ask = (at: URL, authorization: string | undefined) => this.#token(at, authorization);
    this.#credentials = new Credentials(this.base, login, ask, { source });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  /** Closes the connections that are idle now, and the others when their requests have ended. No token comes any more. */
  rest(): void {
    this.#resting.abort(new Fault('parent-unreachable', 'the link is at rest'));
    this.#resting = new AbortController();
    const old = this.#agent;
    this.#agent = makeAgent(this.#stallMs, this.#ca, this.#reach.lookup);
    old.close().catch(() => {});
  }

  /** Asks the parent; what it answers in the end, challenges met, whatever the status. */
  async request(path: string, ask: Ask): Promise<Answer> {
    // A token is asked for on behalf of several requests: one that is ended leaves without waiting for it.
    let authorization = await unlessAborted(ask.signal, this.#credentials.header(ask.scope));
    for (let round = 0; ; round += 1) {
      const { answer, own } = await this.#follow(new URL(path, this.base), ask, authorization);
      // Only the parent itself may say where its tokens come from: that place gets the password.
      if (answer.statusCode !== 401 || !own || round === 2) return answer;
      const challenge = answer.headers['www-authenticate'];
      const learning = this.#credentials.challenged(challenge, ask.scope, authorization);
      const again = await unlessAborted(ask.signal, learning);
      if (!again) return answer;
      await answer.body.dump();
      authorization = await unlessAborted(ask.signal, this.#credentials.header(ask.scope));
    }
  }

  async #follow(
    first: URL,
    ask: Ask,
    authorization: string | undefined,
  ): Promise<{ answer: Answer; own: boolean }> {
    const { method = 'GET', redirects = 'refuse' } = ask;
    let url = first;
    let own = true;
    let before = this.base;
    for (let hop = 0; hop <= MAX_HOPS; hop += 1) {
      mustKeepTls(before, url);
      // Credentials are for the parent alone, and no other host leads back to it with them.
      own = own && url.origin === this.base.origin;
      if (!own) await unlessAborted(ask.signal, this.#reach.check(url));
      const headers = {
        ...ask.headers,
        ...(own && authorization && { authorization }),
        ...(own && this.azure && SOURCE_CLIENT),
      };
      const answer = await this.#send(url, { ...ask, headers });
      const next = redirects === 'return' ? undefined : target(answer);
      if (!next) return { answer, own };
      await answer.body.dump();
      if (redirects === 'refuse') throw notFollowed(`${method} ${first.pathname}`, next);
      before = url;
      url = next;
    }
    throw new Fault(
      'parent-invalid',
      `the parent redirects more than ${MAX_HOPS} times for ${first.pathname}`,
    );
  }

  /** The whole body of an answer; the next request pays for it. @throws as `whole` does */
  async read(answer: Answer, limit: number, what: string): Promise<Buffer> {
    const bytes = await whole(answer, limit, what);
    this.#owed += bytes.length;
    return bytes;
  }

  async #pay(method: Method, signal: AbortSignal): Promise<void> {
    const owed = this.#owed;
    this.#owed = 0;
    const direction = method === 'GET' || method === 'HEAD' ? 'down' : 'up';
    await this.bandwidth.take(REQUEST_BYTES + owed, direction, signal);
  }

  async #send(
    url: URL,
    { headers, method = 'GET', body, signal, paid, waitMs = 0, before }: Ask,
  ): Promise<Answer> {
    if (!paid) await this.#pay(method, signal);
    before?.();
    const watch = body && body.size > 0 ? new SendWatch(this.#stallMs) : undefined;
    const either = watch ? AbortSignal.any([signal, watch.signal]) : signal;
    const length = body && { 'content-length': String(body.size) };
    try {
      const answer = await this.#agent.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: { 'user-agent': 'terrace', ...headers, ...length },
        // Undici ends a request by this while its body is still being written, however well that goes on.
        headersTimeout: watch ? 0 : this.#stallMs + waitMs + (body?.slackMs ?? 0),
        // Said for each request: a proxy does not know the limits of the agent.
        bodyTimeout: this.#stallMs,
        body: watch && body ? watch.body(body, this.bandwidth, either) : null,
        signal: either,
      } as Dispatcher.RequestOptions);
      // A body that is given up unread says so as an error, which nobody waits for. A reader has it thrown all the same.
      answer.body.on('error', () => {});
      const own = url.origin === this.base.origin;
      if (own && answer.statusCode < 500) this.answers += 1;
      return Object.assign(answer, { from: url, own, stallMs: this.#stallMs });
    } catch (cause) {
      throw unreachable(cause, either, `${method} ${this.#nameOf(url)}`);
    } finally {
      watch?.end();
    }
  }

  /** Of another host only which one it is: its addresses may hold signatures. */
  #nameOf({ origin, pathname }: URL): string {
    return origin === this.base.origin ? `${origin}${pathname}` : origin;
  }

  async #token(url: URL, authorization: string | undefined): Promise<Granted> {
    const { signal } = this.#resting;
    if (url.origin !== this.base.origin) await unlessAborted(signal, this.#reach.check(url));
    const answer = await this.#send(url, {
      scope: '',
      signal,
      headers: { ...(authorization && { authorization }), ...(this.azure && SOURCE_CLIENT) },
    });
    const what = `GET ${this.#nameOf(url)}`;
    const { statusCode: status } = answer;
    if (status !== 200) {
      const fault = refusal(status, answer.headers, await text(answer), what);
      // That there is no such token service says nothing of what was asked of the parent.
      if (AMBIGUOUS.includes(status)) throw new Fault(fault.code, fault.message);
      throw fault;
    }
    return grantedIn(await this.read(answer, WORD_LIMIT, what), what, Date.now());
  }

  async #post(url: URL, form: URLSearchParams): Promise<Record<string, unknown>> {
    const what = `POST ${url.origin}${url.pathname}`;
    const answer = await this.#send(url, {
      scope: '',
      signal: this.#resting.signal,
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...SOURCE_CLIENT },
      body: sent(Buffer.from(form.toString())),
    });
    if (answer.statusCode !== 200) throw refusal(answer.statusCode, answer.headers, await text(answer), what);
    return fieldsOf(await this.read(answer, WORD_LIMIT, what), what);
  }
}
