import { backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isStatus } from '../answers/retry.ts';
import type { Granted, TokenSource } from './credentials.ts';
import type { AzureIdentity } from './entra-identity.ts';
import { tokenIn } from './token-answer.ts';
import { lifeOf } from './token-life.ts';

/** Posts a form to the parent and parses its JSON answer. @throws Fault `parent-invalid`; see also `refusal` */
export type TokenPost = (url: URL, form: URLSearchParams) => Promise<Record<string, unknown>>;

/** A refresh token is renewed this long before it expires, in ms (as ACR's own clients do). */
const RENEW_BEFORE_MS = 5 * 60_000;
/** Lifetime of a refresh token that does not state it, in seconds: half of the one that ACR grants. */
const DEFAULT_LIFE_S = 90 * 60;
/**
 * A refresh token up to this age, in ms, is retained when the parent rejects an access token: the cause is then a
 * missing permission.
 */
const FRESH_MS = 10_000;
const RETRY = { firstMs: 2_000, maxMs: 5 * 60_000 };

type Refresh = { token: string; since: number; until: number };
/** `now` is monotonic; `wall` is the time of day, in ms since 1970. */
type Clock = { now: () => number; wall: () => number; random: () => number };

/**
 * Tokens of Azure Container Registry for an identity: the identity's token is exchanged for a refresh token, and that
 * for an access token for each scope (ACR, "AAD OAuth", `/oauth2/exchange` and `/oauth2/token`). A failure makes all
 * requests back off: a directory locks out a client that retries a wrong secret.
 */
export class Exchange implements TokenSource {
  readonly #base: URL;
  readonly #identity: AzureIdentity;
  readonly #post: TokenPost;
  readonly #clock: Clock;
  #refresh: Promise<Refresh> | undefined;
  #failed: { fault: Fault; times: number; until: number } | undefined;
  /** Faults of requests for a single scope's access token. */
  readonly #scopeFaults = new WeakSet<Fault>();

  constructor(
    base: URL,
    identity: AzureIdentity,
    post: TokenPost,
    clock: Clock = { now: () => performance.now(), wall: () => Date.now(), random: Math.random },
  ) {
    this.#base = base;
    this.#identity = identity;
    this.#post = post;
    this.#clock = clock;
  }

  async token(realm: URL, service: string | undefined, scopes: string[]): Promise<Granted> {
    if (realm.origin !== this.#base.origin) {
      throw new Fault(
        'parent-invalid',
        `the parent's token realm ${realm.origin} is on another host: a token of the identity in parent.azure is sent to the parent only`,
      );
    }
    const named = service ?? this.#base.host;
    return this.#withBackoff(async () => {
      const refresh = await this.#current(realm, named);
      try {
        return await this.#access(realm, named, scopes, refresh.token);
      } catch (error) {
        // The registry may have changed its permission mode, which invalidates refresh tokens from before.
        if (!isStatus(error, 401)) throw error;
        refresh.until = 0;
        const { token } = await this.#current(realm, named);
        return this.#access(realm, named, scopes, token);
      }
    });
  }

  refused(): void {
    const drop = (refresh: Refresh) => {
      if (refresh.since <= this.#clock.now() - FRESH_MS) refresh.until = 0;
    };
    this.#refresh?.then(drop).catch(() => {});
  }

  async #access(realm: URL, service: string, scopes: string[], refresh: string): Promise<Granted> {
    const form = new URLSearchParams({ grant_type: 'refresh_token', service, refresh_token: refresh });
    for (const scope of scopes) form.append('scope', scope);
    const answer = await this.#post(realm, form).catch((error: unknown) => {
      if (error instanceof Fault) this.#scopeFaults.add(error);
      throw error;
    });
    const token = tokenIn(answer.access_token, `POST ${realm.origin}${realm.pathname}`);
    return { token, expiresIn: lifeOf(token, this.#clock.wall()) };
  }

  /** At most one exchange at a time. Its failure fails all requests that wait for it. */
  async #current(realm: URL, service: string): Promise<Refresh> {
    for (;;) {
      const cached = this.#refresh;
      if (!cached) break;
      const refresh = await cached;
      if (refresh.until > this.#clock.now()) return refresh;
      if (this.#refresh === cached) this.#refresh = undefined;
    }
    const started = this.#exchange(realm, service);
    this.#refresh = started;
    started.catch(() => {
      if (this.#refresh === started) this.#refresh = undefined;
    });
    return started;
  }

  async #exchange(realm: URL, service: string): Promise<Refresh> {
    const url = new URL('/oauth2/exchange', realm);
    const { token: identityToken, tenant } = await this.#identity.token();
    const form = new URLSearchParams({ grant_type: 'access_token', service, access_token: identityToken });
    if (tenant) form.set('tenant', tenant);
    const answer = await this.#post(url, form);
    const token = tokenIn(answer.refresh_token, `POST ${url.origin}${url.pathname}`);
    const since = this.#clock.now();
    const life = (lifeOf(token, this.#clock.wall()) ?? DEFAULT_LIFE_S) * 1_000;
    return { token, since, until: since + Math.max(life - RENEW_BEFORE_MS, life / 2) };
  }

  async #withBackoff<T>(ask: () => Promise<T>): Promise<T> {
    const before = this.#failed;
    const left = before ? before.until - this.#clock.now() : 0;
    if (before && left > 0) {
      const { code, message, detail } = before.fault;
      throw new Fault(code, message, { detail: { ...detail, retryAfterMs: left } });
    }
    try {
      const result = await ask();
      this.#failed = undefined;
      return result;
    } catch (error) {
      // Concurrent failures count once.
      if (error instanceof Fault && this.#failed === before) this.#backOff(error, (before?.times ?? 0) + 1);
      throw error;
    }
  }

  #backOff(fault: Fault, times: number): void {
    // A failure of one scope says nothing about the identity.
    if (isStatus(fault, 400, 403, 404) && this.#scopeFaults.has(fault)) return;
    const { now, random } = this.#clock;
    const wait = Math.max(backoffMs(times, RETRY, random()), Number(fault.detail?.retryAfterMs ?? 0));
    this.#failed = { fault, times, until: now() + wait };
  }
}
