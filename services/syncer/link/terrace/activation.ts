import {
  Activated,
  ActivationConflict,
  ChildName,
  childPath,
  type LayerIdentity,
} from '#proto/accounts/children.ts';
import { backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { Type } from '#proto/contract/schema.ts';
import { matches } from '#proto/contract/schema-check.ts';
import { MAX_SMALL_ANSWER_BYTES, readErrorBody } from '../answers/bodies.ts';
import { readAs } from '../answers/read-as.ts';
import { withRetries } from '../answers/retry.ts';
import { ExpiringValue } from '../http/expiring-value.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { bodyOf } from '../http/sending.ts';
import { refusalIn, throwIfTransient } from './terrace-api.ts';

/** How long a parent that activates no layers, such as one without accounts, is not asked again, in ms. */
const RECHECK_MS = 10 * 60_000;
/** While another instance is activated, if the parent does not say when to retry. */
export const ACTIVATION_RETRY = { firstMs: 30_000, maxMs: 5 * 60_000 };

/** Added to the parent's `retryAfter`, in ms, for clock differences and the time of a request. */
const SLACK_MS = 1_000;

const NAME = new RegExp(ChildName.pattern as string);

/** The error body of `ALREADY_ACTIVATED`. */
const ConflictBody = Type.Object({
  errors: Type.Array(Type.Object({ code: Type.String(), detail: Type.Optional(Type.Unknown()) }), {
    minItems: 1,
  }),
});

type State =
  | { is: 'active'; at: number }
  | { is: 'refused'; fault: Fault; times: number; next: number }
  /** The parent activates no layers. */
  | { is: 'free'; until: number };

export type Confirmation = {
  /** This layer. */
  identity: LayerIdentity;
  /** Max age of an earlier answer that is still good enough, in ms. */
  withinMs: number;
  /** Asks the parent also before the next attempt is due. */
  skipBackoff: boolean;
};

/** Forgets that the parent has confirmed this instance's activation. */
export interface ActivationInvalidator {
  invalidate(): void;
}

/** Remembers whether the parent has confirmed it. */
export interface ActivationCache extends ActivationInvalidator {
  confirmed(): void;
}

/**
 * This layer's activation at a Terrace above it, the right to synchronize, which only one instance may have. It is that
 * of the child that is named like the token with which this layer logs in. If the parent has no accounts, or the token
 * lacks the permission, no activation is needed.
 */
export class ParentActivation implements ActivationCache {
  /** The child's name; undefined if this layer does not log in, or not as a child. */
  readonly child: string | undefined;
  readonly #link: ParentLink;
  readonly #now: () => number;
  #state: State | undefined;
  /** The parent is of a version that does not know `start`. */
  readonly #omitsStart: ExpiringValue<true>;

  constructor(link: ParentLink, username: string | undefined, now: () => number = () => performance.now()) {
    const name = username?.toLowerCase() ?? '';
    this.child = NAME.test(name) ? name : undefined;
    this.#link = link;
    this.#now = now;
    this.#omitsStart = new ExpiringValue(now);
  }

  /** Whether the parent was asked before. */
  get tried(): boolean {
    return this.#state !== undefined;
  }

  /** Records that the parent confirmed this instance's activation in its answer to another request. */
  confirmed(): void {
    if (this.#state?.is === 'active') this.#state = { is: 'active', at: this.#now() };
  }

  /** Another instance may be activated by now: the next `confirm` asks the parent. */
  invalidate(): void {
    if (this.#state?.is === 'active') this.#state = { is: 'active', at: Number.NEGATIVE_INFINITY };
  }

  /**
   * Requests activation, unless an earlier answer is recent enough.
   * @throws Fault `already-activated`: another instance is activated, and this one must not synchronize;
   * `parent-unreachable`, `busy`; see also `ParentLink.request`
   */
  async confirm(
    { identity, withinMs, skipBackoff }: Confirmation,
    log: Log,
    signal: AbortSignal,
  ): Promise<void> {
    const { child } = this;
    const state = this.#state;
    const now = this.#now();
    if (!child) return;
    if (state?.is === 'active' && now - state.at < withinMs) return;
    if (state?.is === 'free' && !skipBackoff && now < state.until) return;
    if (state?.is === 'refused' && !skipBackoff && now < state.next) throw state.fault;
    const answer = await withRetries(signal, () => this.#ask(child, identity, signal));
    if (answer === 'free') {
      this.#state = { is: 'free', until: this.#now() + RECHECK_MS };
    } else if ('since' in answer) {
      this.#state = { is: 'active', at: this.#now() };
      if (state?.is !== 'active')
        log.info({ child, since: answer.since }, 'this layer is activated at the parent');
    } else {
      const times = state?.is === 'refused' ? state.times + 1 : 1;
      const { retryAfter } = answer.conflict;
      const ms =
        retryAfter === undefined ? backoffMs(times, ACTIVATION_RETRY) : retryAfter * 1_000 + SLACK_MS;
      const fault = activationRefused(child, answer.conflict, identity.start?.at);
      this.#state = { is: 'refused', fault, times, next: this.#now() + ms };
      log.warn({ child, times, ms: Math.round(ms) }, 'another instance is activated at the parent; retrying');
      throw fault;
    }
  }

  async #ask(
    child: string,
    { instance, start }: LayerIdentity,
    signal: AbortSignal,
  ): Promise<'free' | { since: number } | { conflict: ActivationConflict }> {
    const path = childPath(child);
    const activation = { instance, ...(start && !this.#omitsStart.get() && { start }) };
    const answer = await this.#link.request(path, {
      scope: `gateway:${child}:config_write`,
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: bodyOf(Buffer.from(JSON.stringify(activation))),
      signal,
    });
    const { statusCode: status } = answer;
    if (status === 200 || status === 201) {
      const activated = readAs(Activated, await this.#link.read(answer, MAX_SMALL_ANSWER_BYTES, path));
      return activated?.instance === instance ? { since: activated.since } : 'free';
    }
    const body = await readErrorBody(answer);
    if (status === 400 && 'start' in activation) {
      this.#omitsStart.set(true);
      return this.#ask(child, { instance }, signal);
    }
    throwIfTransient(await refusalIn(answer, `PUT ${path}`, body));
    const conflict = conflictIn(status, body);
    return conflict ? { conflict } : 'free';
  }
}

/** Details of the activated instance, if the answer says that it is another one. */
export function conflictIn(status: number, body: string): ActivationConflict | undefined {
  const [error] = (status === 409 && readAs(ConflictBody, body)?.errors) || [];
  if (error?.code !== 'ALREADY_ACTIVATED') return undefined;
  return matches(ActivationConflict, error.detail) ? error.detail : {};
}

/**
 * The Fault `already-activated`, with the instance that is activated.
 * @param started when this start of the layer began, in ms since 1970
 */
export function activationRefused(child: string, other: ActivationConflict, started?: number): Fault {
  const remedy = `stop it and run "terrace child deactivate ${child}" at the parent, so that this one can be activated`;
  const { since, copy, retryAfter, from } = other;
  const thisStart = nonEmpty([at('address', from), instant('started', started)]);
  const otherStart = nonEmpty([
    at('address', other.address),
    instant('started', other.started),
    instant('last seen', other.seen),
  ]);
  const text = !copy
    ? `another instance of ${child} is activated at the parent${instant(' since', since)}${otherStart && ` (${otherStart})`}, and only one may synchronize: ${remedy}`
    : retryAfter === undefined
      ? `a copy of this layer's data volume is activated as ${child} at the parent (${otherStart}; this one: ${thisStart}), and only one may synchronize: ${remedy}`
      : `another start of this layer is active as ${child} at the parent (${otherStart}; this one: ${thisStart}): if that one has ended, this one replaces it within ${retryAfter} s; if it still runs, one of them uses a copy of the other's data volume: stop one of them`;
  return new Fault('already-activated', text, { detail: { child, ...other } });
}

const nonEmpty = (parts: string[]): string => parts.filter(Boolean).join(', ');
const at = (words: string, address: string | undefined): string => (address ? `${words} ${address}` : '');
const instant = (words: string, ms: number | undefined): string =>
  ms === undefined ? '' : `${words} ${new Date(ms).toISOString()}`;
