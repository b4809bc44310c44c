import { PARENT_NAME_HEADER } from '#proto/accounts/children.ts';
import type { Backoff } from '#proto/async/backoff.ts';
import { unlessAborted } from '#proto/async/unless-aborted.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { CertificateAndKey } from '#proto/http/certificate-pair.ts';
import { tracer } from '#proto/tracing/tracer.ts';
import { type Answer, readAll } from '../answers/bodies.ts';
import { namedPath, urlAt } from '../answers/parent-path.ts';
import { type Bandwidth, REQUEST_BYTES, UNLIMITED } from '../bandwidth/bandwidth.ts';
import { basicOf, ParentCredentials, type ParentLogin } from '../login/credentials.ts';
import type { AzureIdentity } from '../login/entra-identity.ts';
import { Exchange } from '../login/exchange.ts';
import { TokenService } from '../login/token-service.ts';
import { makeAgent } from './agent.ts';
import { ExpiringValue } from './expiring-value.ts';
import { Reach, type Resolve } from './reach.ts';
import { assertTlsKept, isWithin, MAX_HOPS, notFollowed, type Redirects, target } from './redirects.ts';
import { RequestSender } from './request-sender.ts';
import { bodyOf, type RequestBody } from './sending.ts';
import { tracedRequest } from './traced-request.ts';

/**
 * HTTP to the parent, and the base of all of `link/`: the clients in `parent/` send their requests through a
 * `ParentLink`, `login/` supplies its Authorization header, `bandwidth/` limits it, and `answers/` reads its answers.
 *
 * A `ParentLink` has one parent and one login. A request takes bandwidth and goes out through `request-sender.ts`,
 * which holds requests back while a host limits them (`host-hold.ts`), waits longer for hosts that are slow
 * (`first-byte-limits.ts`) and watches a body to send for progress (`sending.ts`). The undici agent (`agent.ts`)
 * connects only to addresses that `reach.ts` allows, and may do so before a request needs the connection
 * (`spare-connections.ts`). Redirects are handled by `redirects.ts`; a challenge of the parent
 * is met and the request repeated, at most twice. Lists are read page by page (`pages.ts`, `name-list.ts`). When the
 * synchronization window closes, `closeIdle` closes the connections; the next request opens new ones.
 */

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type RequestOptions = {
  /** Scope for the parent's token service, such as `repository:<name>:pull`; several are separated by spaces. */
  scope: string;
  headers?: Record<string, string>;
  method?: HttpMethod;
  body?: RequestBody;
  signal: AbortSignal;
  /** Time that the parent may wait before it answers, in addition to the stall time, in ms. */
  waitMs?: number;
  /** The caller has taken the bandwidth already, for the request and its answer. */
  bandwidthTaken?: boolean;
  /** Called right before the request is sent, each time. If it throws, the request is not sent. */
  before?: () => void;
  /** Sends the login by Basic, if there is one, without regard to the parent's challenges. */
  basic?: boolean;
  /** How a redirect is handled; default `refuse`. */
  redirects?: Redirects;
};

export type LinkOptions = {
  url: string;
  login?: ParentLogin | undefined;
  /** Set if the parent is an Azure Container Registry. `identity`: this layer's identity there if it has no login. */
  azure?: { identity?: AzureIdentity | undefined } | undefined;
  /** A connection without progress for this time fails, in ms. */
  stallMs?: number;
  /** Certificates (PEM) to trust in addition to the machine's. */
  ca?: string | undefined;
  /** Client certificate, for the parent only. */
  certificate?: CertificateAndKey | undefined;
  bandwidth?: Bandwidth;
  /** Hosts in private networks other than the parent's to which the parent may send this layer. */
  allowedHosts?: readonly string[] | undefined;
  resolve?: Resolve;
  /** Holds after a 429 that names no time. */
  hold?: Backoff | undefined;
  /** Monotonic clock, in ms, for what is remembered of the parent. */
  now?: () => number;
  log?: Pick<Log, 'info' | 'warn'> | undefined;
};

/** Default of `stallMs`. */
const STALL_MS = 20_000;
/** Statuses by which a parent refuses a request without a login, or hides what the request may not see. */
const REFUSED = [401, 403, 404];
/** A Terrace challenges: without a challenge, another registry refused such a path, which is no reason to log in. */
const TERRACE_PATH = '/v2/_terrace/';
/** Header by which ACR counts its clients (Azure/acr, http-headers). */
const SOURCE_CLIENT = { 'x-meta-source-client': 'on-prem/terrace' };

/**
 * HTTP to the parent: authorization by its challenges, redirects, timeouts by lack of progress, proxies by the usual
 * environment variables. Every failure to get an answer is a Fault `parent-unreachable`.
 */
export class ParentLink implements AsyncDisposable {
  readonly base: URL;
  readonly bandwidth: Bandwidth;
  /** Whether the parent is an Azure Container Registry. */
  readonly azure: boolean;
  /** Monotonic clock, in ms. */
  readonly now: () => number;
  /** The parent refuses a size of pages. */
  readonly refusesPageSize: ExpiringValue<true>;
  readonly #stallMs: number;
  readonly #login: ParentLogin | undefined;
  readonly #credentials: ParentCredentials;
  readonly #reach: Reach;
  readonly #sender: RequestSender;
  /** Aborts the active token requests, which no single request may do. */
  #tokenRequests = new AbortController();
  /** Number of answers below 500 from the parent's origin. An error of a proxy does not count. */
  answers = 0;
  /** Bytes received for which no bandwidth is taken yet. */
  #untakenBytes = 0;

  constructor(options: LinkOptions) {
    const { url, login, azure, stallMs = STALL_MS, ca, bandwidth = UNLIMITED } = options;
    this.base = new URL(url);
    this.#login = login;
    this.bandwidth = bandwidth;
    this.#reach = new Reach(this.base, options.allowedHosts, options.resolve);
    this.azure = azure !== undefined;
    this.now = options.now ?? (() => performance.now());
    this.refusesPageSize = new ExpiringValue(this.now);
    this.#stallMs = stallMs;
    const { log, hold, certificate } = options;
    const agents = () => {
      const others = makeAgent(stallMs, ca, this.#reach.lookup);
      return {
        others,
        parent: certificate ? makeAgent(stallMs, ca, this.#reach.lookup, certificate) : others,
      };
    };
    this.#sender = new RequestSender({ agents, parent: this.base, stallMs, bandwidth, log, hold });
    const service = new TokenService({
      send: (at, request) => this.#sendForToken(at, request),
      read: (answer, limit, what) => this.read(answer, limit, what),
      nameOf: (at) => this.#nameOf(at),
    });
    const source =
      azure?.identity && new Exchange(this.base, azure.identity, (at, form) => service.post(at, form));
    const ask = (at: URL, user: ParentLogin | undefined) => service.granted(at, user);
    this.#credentials = new ParentCredentials(this.base, login, ask, { source });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sender[Symbol.asyncDispose]();
  }

  /** Closes idle connections now, and the others when their requests end. Active token requests fail. */
  closeIdle(): void {
    this.#tokenRequests.abort(new Fault('parent-unreachable', 'the link was closed'));
    this.#tokenRequests = new AbortController();
    this.#sender.closeIdle();
  }

  /** Round trip to the parent, in ms; undefined while it is unknown, as behind a proxy. */
  get roundTripMs(): number | undefined {
    return this.#sender.roundTripMs;
  }

  /** When the certificate of the parent ends, in ms since 1970; undefined while it is unknown, as behind a proxy. */
  get certificateEnds(): number | undefined {
    return this.#sender.certificateEnds;
  }

  /** Opens connections to the parent before they are needed, until there are `count`. */
  prepareConnections(count: number): void {
    this.#sender.prepareConnections(this.base, count);
  }

  /**
   * Sends a request to the parent.
   * @param path of the API, below the path of the parent's address; or one that the parent named, or its URL
   * @returns the final answer, of any status, after challenges and redirects
   * @throws Fault `parent-unreachable`; `parent-invalid` for a redirect or an address that is not allowed; from the
   * token service also `parent-refused` and `busy`
   */
  async request(path: string, ask: RequestOptions): Promise<Answer> {
    if (ask.basic) {
      const basic = this.#login && basicOf(this.#login);
      return (await this.#follow(urlAt(this.base, path), ask, basic)).answer;
    }
    // Several requests may share one token request: a request that is aborted stops waiting and does not abort it.
    let authorization = await unlessAborted(ask.signal, this.#credentials.header(ask.scope));
    for (let round = 0; ; round += 1) {
      const { answer, isParent } = await this.#follow(urlAt(this.base, path), ask, authorization);
      const { statusCode: status, headers } = answer;
      // Only the parent itself may name the realm of its tokens: the realm receives the password.
      if (!isParent || round === 2 || !REFUSED.includes(status)) return answer;
      const learning =
        status === 401
          ? this.#credentials.challenged(headers['www-authenticate'], ask.scope, authorization)
          : !path.startsWith(TERRACE_PATH) && this.#credentials.offer(authorization);
      const isWorthRetry = await unlessAborted(ask.signal, Promise.resolve(learning));
      if (!isWorthRetry) return answer;
      await answer.body.dump();
      authorization = await unlessAborted(ask.signal, this.#credentials.header(ask.scope));
    }
  }

  /** Sends a request to an address on another host, to which the parent redirected before: without credentials. */
  async requestAt(url: URL, ask: RequestOptions): Promise<Answer> {
    return (await this.#follow(url, ask, undefined)).answer;
  }

  async #follow(
    first: URL,
    ask: RequestOptions,
    authorization: string | undefined,
  ): Promise<{ answer: Answer; isParent: boolean }> {
    const { method = 'GET', redirects = 'refuse' } = ask;
    let url = first;
    let isParent = true;
    let previous = this.base;
    for (let hop = 0; hop <= MAX_HOPS; hop += 1) {
      assertTlsKept(previous, url);
      // Credentials go to the parent only. A redirect of another host back to the parent does not carry them.
      isParent = isParent && url.origin === this.base.origin;
      if (!isParent) await unlessAborted(ask.signal, this.#reach.check(url));
      const headers = {
        ...ask.headers,
        ...(isParent && authorization && { authorization }),
        ...(isParent && this.azure && SOURCE_CLIENT),
        ...(isParent && url.pathname.includes(TERRACE_PATH) && { [PARENT_NAME_HEADER]: url.host }),
      };
      const answer = await this.#send(url, { ...ask, headers });
      const next = redirects === 'return' ? undefined : target(answer);
      if (!next) return { answer, isParent };
      await answer.body.dump();
      if (redirects === 'refuse' && !isWithin(next, url, method))
        throw notFollowed(`${method} ${first.pathname}`, next);
      previous = url;
      url = next.origin === this.base.origin ? urlAt(this.base, namedPath(this.base, next, url)) : next;
    }
    throw new Fault(
      'parent-invalid',
      `the parent redirects more than ${MAX_HOPS} times for ${first.pathname}`,
    );
  }

  /** Reads the complete body. The next request takes the bandwidth for it. @throws Fault see `readAll` */
  async read(answer: Answer, limit: number, what: string): Promise<Buffer> {
    const bytes = await readAll(answer, limit, what);
    this.#untakenBytes += bytes.length;
    return bytes;
  }

  async #send(url: URL, options: RequestOptions): Promise<Answer> {
    const { method = 'GET', bandwidthTaken, signal, before } = options;
    const start = async () => {
      if (!bandwidthTaken) await this.#takeBandwidth(method, signal);
      before?.();
    };
    // What only a Terrace has is limited by itself.
    const isHeld = !url.pathname.includes(TERRACE_PATH);
    const what = `${method} ${this.#nameOf(url)}`;
    const own = url.origin === this.base.origin;
    const send = async (more?: Record<string, string>) => {
      const headers = { ...options.headers, ...more };
      const answer = await this.#sender.send(url, { ...options, headers, what, isHeld, start });
      if (own && answer.statusCode < 500) this.answers += 1;
      return Object.assign(answer, { from: url, own, stallMs: this.#stallMs });
    };
    return tracer ? tracedRequest(tracer, { url, method, isParent: own }, send) : send();
  }

  async #takeBandwidth(method: HttpMethod, signal: AbortSignal): Promise<void> {
    const untakenBytes = this.#untakenBytes;
    this.#untakenBytes = 0;
    const direction = method === 'GET' || method === 'HEAD' ? 'down' : 'up';
    await this.bandwidth.take(REQUEST_BYTES + untakenBytes, direction, signal);
  }

  /** For another host only its origin: its URLs may hold signatures. */
  #nameOf({ origin, pathname }: URL): string {
    return origin === this.base.origin ? `${origin}${pathname}` : origin;
  }

  /** Sends one request to a token service. It may be on another host, which then gets the login. */
  async #sendForToken(
    url: URL,
    { authorization, form }: { authorization?: string; form?: URLSearchParams },
  ): Promise<Answer> {
    const { signal } = this.#tokenRequests;
    if (url.origin !== this.base.origin) await unlessAborted(signal, this.#reach.check(url));
    return this.#send(url, {
      scope: '',
      signal,
      headers: {
        ...(authorization && { authorization }),
        ...(form && { 'content-type': 'application/x-www-form-urlencoded' }),
        ...(this.azure && SOURCE_CLIENT),
      },
      ...(form && { method: 'POST', body: bodyOf(Buffer.from(form.toString())) }),
    });
  }
}
