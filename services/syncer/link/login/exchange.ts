import { backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import { isStatus } from '../answers/patience.ts';
import type { Granted, TokenSource } from './credentials.ts';
import type { Identity } from './identity.ts';
import { tokenIn } from './token-answer.ts';
import { lifeOf } from './token-life.ts';

/** Posts a form to the parent and reads the JSON that it answers. @throws Fault as `refusal` says */
export type Post = (url: URL, form: URLSearchParams) => Promise<Record<string, unknown>>;

/** Before its end, a refresh token is renewed, in ms (ACR's own clients do the same). */
const EARLY_MS = 5 * 60_000;
/** Of a refresh token that does not say when it ends, in seconds: half of what ACR gives. */
const LIFE_S = 90 * 60;
/** One that is not older is not the cause where a token is not taken: the right to something is missing. In ms. */
const FRESH_MS = 10_000;
const RETRY = { firstMs: 2_000, maxMs: 5 * 60_000 };

type Refresh = { token: string; since: number; until: number };
type Clock = { now: () => number; random: () => number };

/**
 * Tokens of Azure Container Registry for an identity: the identity's token is exchanged for a refresh token, and that
 * for an access token of each scope (ACR, "AAD OAuth", `/oauth2/exchange` and `/oauth2/token`). What fails is left
 * alone for a while, whoever asks: a directory locks out who tries a wrong secret again and again.
 */
export class Exchange implements TokenSource {
  readonly #base: URL;
  readonly #identity: Identity;
  readonly #post: Post;
  readonly #clock: Clock;
  #refresh: Promise<Refresh> | undefined;
  #failed: { fault: Fault; times: number; until: number } | undefined;
  /** What was answered to a question about one scope. */
  readonly #ofScope = new WeakSet<Fault>();

  constructor(
    base: URL,
    identity: Identity,
    post: Post,
    clock: Clock = { now: () => Date.now(), random: Math.random },
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
        `the parent names ${realm.origin} for its tokens: that of an identity goes to the parent alone`,
      );
    }
    const named = service ?? this.#base.host;
    return this.#resting(async () => {
      const refresh = await this.#current(realm, named);
      try {
        return await this.#access(realm, named, scopes, refresh.token);
      } catch (error) {
        // The registry may have changed its mode of permissions: what it gave before counts no more.
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
      if (error instanceof Fault) this.#ofScope.add(error);
      throw error;
    });
    const token = tokenIn(answer.access_token, `POST ${realm.origin}${realm.pathname}`);
    return { token, expiresIn: lifeOf(token, this.#clock.now()) };
  }

  /** One exchange at a time, whose failure is that of all who wait for it. */
  async #current(realm: URL, service: string): Promise<Refresh> {
    for (;;) {
      const held = this.#refresh;
      if (!held) break;
      const refresh = await held;
      if (refresh.until > this.#clock.now()) return refresh;
      if (this.#refresh === held) this.#refresh = undefined;
    }
    const made = this.#exchange(realm, service);
    this.#refresh = made;
    made.catch(() => {
      if (this.#refresh === made) this.#refresh = undefined;
    });
    return made;
  }

  async #exchange(realm: URL, service: string): Promise<Refresh> {
    const url = new URL('/oauth2/exchange', realm);
    const { token: own, tenant } = await this.#identity.token();
    const form = new URLSearchParams({ grant_type: 'access_token', service, access_token: own });
    if (tenant) form.set('tenant', tenant);
    const answer = await this.#post(url, form);
    const token = tokenIn(answer.refresh_token, `POST ${url.origin}${url.pathname}`);
    const since = this.#clock.now();
    const life = (lifeOf(token, since) ?? LIFE_S) * 1_000;
    return { token, since, until: since + Math.max(life - EARLY_MS, life / 2) };
  }

  async #resting<T>(ask: () => Promise<T>): Promise<T> {
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
      // Those who failed together count once.
      if (error instanceof Fault && this.#failed === before) this.#rest(error, (before?.times ?? 0) + 1);
      throw error;
    }
  }

  #rest(fault: Fault, times: number): void {
    // Of one scope, not of the identity.
    if (isStatus(fault, 400, 403, 404) && this.#ofScope.has(fault)) return;
    const { now, random } = this.#clock;
    const wait = Math.max(backoffMs(times, RETRY, random()), Number(fault.detail?.retryAfterMs ?? 0));
    this.#failed = { fault, times, until: now() + wait };
  }
}
