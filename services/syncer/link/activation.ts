import { Type } from '@sinclair/typebox';
import { Activated, ChildName, childPath } from '#proto/children.ts';
import { Fault } from '#proto/fault.ts';
import type { Log } from '#proto/log.ts';
import { refusal } from './answers.ts';
import { PAGE_LIMIT, text } from './bodies.ts';
import type { Link } from './link.ts';
import { patiently } from './patience.ts';
import { readAs } from './read-as.ts';
import { sent } from './sending.ts';

/** A parent that gives no place to this layer, as it has no accounts, is asked again after so long, in ms. */
const ASK_AGAIN_MS = 10 * 60_000;
const FIRST_TRY_MS = 30_000;
const LONGEST_TRY_MS = 5 * 60_000;

const NAME = new RegExp(ChildName.pattern as string);

/** As ALREADY_ACTIVATED is told. */
const Refusal = Type.Object({
  errors: Type.Array(
    Type.Object({
      code: Type.String(),
      detail: Type.Optional(Type.Object({ since: Type.Optional(Type.Number()) })),
    }),
    { minItems: 1 },
  ),
});

type State =
  | { is: 'active'; at: number }
  | { is: 'refused'; fault: Fault; times: number; next: number }
  /** The parent has no place to give. */
  | { is: 'free'; until: number };

export type Confirmation = {
  /** Of this layer. */
  instance: string;
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
  doubt(): void {
    if (this.#state?.is === 'active') this.#state = { is: 'active', at: Number.NEGATIVE_INFINITY };
  }

  /**
   * Asks for the place, where it is not known well enough whether this instance has it.
   * @throws Fault `already-activated`: another instance has it, and nothing may be synchronised; what
   * `Link.request` throws; `parent-unreachable`, `busy`
   */
  async confirm({ instance, withinMs, eager }: Confirmation, log: Log, signal: AbortSignal): Promise<void> {
    const { child } = this;
    const state = this.#state;
    const now = this.#now();
    if (!child) return;
    if (state?.is === 'active' && now - state.at < withinMs) return;
    if (state?.is === 'free' && !eager && now < state.until) return;
    if (state?.is === 'refused' && !eager && now < state.next) throw state.fault;
    const answer = await patiently(signal, () => this.#ask(child, instance, signal));
    if (answer === 'free') {
      this.#state = { is: 'free', until: this.#now() + ASK_AGAIN_MS };
    } else if ('since' in answer) {
      this.#state = { is: 'active', at: this.#now() };
      if (state?.is !== 'active')
        log.info({ child, since: answer.since }, 'this layer is activated at the parent');
    } else {
      const times = state?.is === 'refused' ? state.times + 1 : 1;
      const next = this.#now() + tryAgainIn(times);
      const fault = refused(child, answer.taken);
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
    instance: string,
    signal: AbortSignal,
  ): Promise<'free' | { since: number } | { taken: number | undefined }> {
    const path = childPath(child);
    const answer = await this.#link.request(path, {
      scope: `gateway:${child}:config_write`,
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: sent(Buffer.from(JSON.stringify({ instance }))),
      signal,
    });
    const { statusCode: status } = answer;
    if (status === 200 || status === 201) {
      const found = readAs(Activated, (await this.#link.read(answer, PAGE_LIMIT, path)).toString('utf8'));
      return found?.instance === instance ? { since: found.since } : 'free';
    }
    const said = await text(answer);
    if (status >= 500 || status === 429 || status === 408) {
      throw refusal(status, answer.headers, said, `PUT ${path}`);
    }
    return takenSince(status, said) ?? 'free';
  }
}

/** Where the answer says that another instance has the place: since when, as far as it is told. */
export function takenSince(status: number, said: string): { taken: number | undefined } | undefined {
  const [error] = (status === 409 && readAs(Refusal, said)?.errors) || [];
  return error?.code === 'ALREADY_ACTIVATED' ? { taken: error.detail?.since } : undefined;
}

/** How long after refusal number `times` (from 1) the parent is asked again: doubling, with jitter, in ms. */
export function tryAgainIn(times: number, random = Math.random()): number {
  return Math.min(LONGEST_TRY_MS, FIRST_TRY_MS * 2 ** (times - 1)) * (0.75 + random / 4);
}

export function refused(child: string, since: number | undefined): Fault {
  const when = since === undefined ? '' : ` since ${new Date(since).toISOString()}`;
  return new Fault(
    'already-activated',
    `another instance of ${child} is activated at the parent${when}, and only one may synchronise: stop it and run "terrace child deactivate ${child}" there to let this one take its place`,
    { detail: { child } },
  );
}
