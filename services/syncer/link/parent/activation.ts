import { Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { Activated, ChildName, Conflict, childPath, type LayerIdentity } from '#proto/accounts/children.ts';
import { backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import { text, WORD_LIMIT } from '../answers/bodies.ts';
import { patiently } from '../answers/patience.ts';
import { readAs } from '../answers/read-as.ts';
import type { Link } from '../http/link.ts';
import { sent } from '../http/sending.ts';
import { TerraceApi } from './terrace-api.ts';

/** A parent that gives no place to this layer, as it has no accounts, is asked again after so long, in ms. */
const ASK_AGAIN_MS = 10 * 60_000;
export const ACTIVATION_RETRY = { firstMs: 30_000, maxMs: 5 * 60_000 };

/** Clocks and requests take their time, in ms. */
const SLACK_MS = 1_000;

const NAME = new RegExp(ChildName.pattern as string);

/** As ALREADY_ACTIVATED is told. */
const Refusal = Type.Object({
  errors: Type.Array(Type.Object({ code: Type.String(), detail: Type.Optional(Type.Unknown()) }), {
    minItems: 1,
  }),
});

type State =
  | { is: 'active'; at: number }
  | { is: 'refused'; fault: Fault; times: number; next: number }
  /** The parent has no place to give. */
  | { is: 'free'; until: number };

export type Confirmation = {
  /** This layer. */
  identity: LayerIdentity;
  /** An answer that is not older is good enough, in ms. */
  withinMs: number;
  /** Asks also before the time for it has come. */
  eager: boolean;
};

/**
 * The place of this layer at a Terrace above it, which only one instance has: that of the child whose name is that of
 * the token that this layer logs in with. A parent without accounts, and a token without the right to it, mean that
 * there is nothing to ask for.
 */
export class Activation {
  /** Undefined where this layer does not log in, or not as a child. */
  readonly child: string | undefined;
  readonly #link: Link;
  readonly #now: () => number;
  #state: State | undefined;
  /** The parent is of a version that knows no starts. */
  #plain = false;

  constructor(link: Link, username: string | undefined, now: () => number = Date.now) {
    const name = username?.toLowerCase() ?? '';
    this.child = NAME.test(name) ? name : undefined;
    this.#link = link;
    this.#now = now;
  }

  /** Whether the parent was asked before. */
  get tried(): boolean {
    return this.#state !== undefined;
  }

  /** The parent has said, in answer to another request, that this instance has the place. */
  confirmed(): void {
    if (this.#state?.is === 'active') this.#state = { is: 'active', at: this.#now() };
  }

  /** Another instance may have the place by now: the parent is asked again. */
  invalidate(): void {
    if (this.#state?.is === 'active') this.#state = { is: 'active', at: Number.NEGATIVE_INFINITY };
  }

  /**
   * Asks for the place, where it is not known well enough whether this instance has it.
   * @throws Fault `already-activated`: another instance has it, and nothing may be synchronised; what
   * `Link.request` throws; `parent-unreachable`, `busy`
   */
  async confirm({ identity, withinMs, eager }: Confirmation, log: Log, signal: AbortSignal): Promise<void> {
    const { child } = this;
    const state = this.#state;
    const now = this.#now();
    if (!child) return;
    if (state?.is === 'active' && now - state.at < withinMs) return;
    if (state?.is === 'free' && !eager && now < state.until) return;
    if (state?.is === 'refused' && !eager && now < state.next) throw state.fault;
    const answer = await patiently(signal, () => this.#ask(child, identity, signal));
    if (answer === 'free') {
      this.#state = { is: 'free', until: this.#now() + ASK_AGAIN_MS };
    } else if ('since' in answer) {
      this.#state = { is: 'active', at: this.#now() };
      if (state?.is !== 'active')
        log.info({ child, since: answer.since }, 'this layer is activated at the parent');
    } else {
      const times = state?.is === 'refused' ? state.times + 1 : 1;
      const { retryAfter } = answer.taken;
      const next =
        this.#now() +
        (retryAfter === undefined ? backoffMs(times, ACTIVATION_RETRY) : retryAfter * 1_000 + SLACK_MS);
      const fault = refused(child, answer.taken, identity.start?.at);
      this.#state = { is: 'refused', fault, times, next };
      log.warn(
        { child, times, at: new Date(next).toISOString() },
        'another instance is activated at the parent; asking again',
      );
      throw fault;
    }
  }

  async #ask(
    child: string,
    { instance, start }: LayerIdentity,
    signal: AbortSignal,
  ): Promise<'free' | { since: number } | { taken: Conflict }> {
    const path = childPath(child);
    const activation = { instance, ...(start && !this.#plain && { start }) };
    const answer = await this.#link.request(path, {
      scope: `gateway:${child}:config_write`,
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: sent(Buffer.from(JSON.stringify(activation))),
      signal,
    });
    const { statusCode: status } = answer;
    if (status === 200 || status === 201) {
      const found = readAs(Activated, await this.#link.read(answer, WORD_LIMIT, path));
      return found?.instance === instance ? { since: found.since } : 'free';
    }
    const said = await text(answer);
    if (status === 400 && 'start' in activation) {
      this.#plain = true;
      return this.#ask(child, { instance }, signal);
    }
    await TerraceApi.refused(answer, `PUT ${path}`, said);
    return takenSince(status, said) ?? 'free';
  }
}

/** Where the answer says that another one has the place: what is told of it. */
export function takenSince(status: number, said: string): { taken: Conflict } | undefined {
  const [error] = (status === 409 && readAs(Refusal, said)?.errors) || [];
  if (error?.code !== 'ALREADY_ACTIVATED') return undefined;
  return { taken: Value.Check(Conflict, error.detail) ? error.detail : {} };
}

/** @param started when this start of the layer began */
export function refused(child: string, other: Conflict, started?: number): Fault {
  const remedy = `stop it and run "terrace child deactivate ${child}" there to let this one take its place`;
  const { since, copy, retryAfter, from } = other;
  const here = known([at('called from', from), instant('started', started)]);
  const there = known([
    at('calls from', other.address),
    instant('started', other.started),
    instant('last heard', other.seen),
  ]);
  const text = !copy
    ? `another instance of ${child} is activated at the parent${instant(' since', since)}${there && ` (${there})`}, and only one may synchronise: ${remedy}`
    : retryAfter === undefined
      ? `a copy of this layer's data volume is activated as ${child} at the parent (${there}; this one ${here}), and only one may synchronise: ${remedy}`
      : `the parent heard another start of this layer as ${child} (${there}; this one ${here}): where that one has ended, this one takes its place within ${retryAfter} s; where it runs, one is a copy of the other's data volume: stop one of them`;
  return new Fault('already-activated', text, { detail: { child, ...other } });
}

const known = (parts: string[]): string => parts.filter(Boolean).join(', ');
const at = (words: string, address: string | undefined): string => (address ? `${words} ${address}` : '');
const instant = (words: string, ms: number | undefined): string =>
  ms === undefined ? '' : `${words} ${new Date(ms).toISOString()}`;
