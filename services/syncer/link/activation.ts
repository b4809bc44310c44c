import { ALREADY_ACTIVATED, childPath } from '#proto/children.ts';
import { Fault } from '#proto/fault.ts';
import { refusal } from './answers.ts';
import { text } from './bodies.ts';
import type { Link } from './link.ts';
import { sent } from './sending.ts';

/** How long an answer of the parent's is good for, in ms; also that it knows of no such thing. */
const GOOD_MS = 5 * 60_000;

/** That this data volume is the one instance of its name at a parent that is a Terrace. */
export class Activation {
  readonly #link: Link;
  readonly #child: string;
  #until = 0;

  constructor(link: Link, child: string) {
    this.#link = link;
    this.#child = child;
  }

  /** The parent is asked again. */
  doubt(): void {
    this.#until = 0;
  }

  /** @throws Fault `already-activated`, `parent-unreachable`, `busy` */
  async claim(instance: string, signal: AbortSignal): Promise<void> {
    if (Date.now() < this.#until) return;
    const path = childPath(this.#child);
    const answer = await this.#link.request(path, {
      method: 'PUT',
      scope: 'registry:catalog:*',
      headers: { 'content-type': 'application/json' },
      body: sent(Buffer.from(JSON.stringify({ instance }))),
      signal,
    });
    const said = await text(answer);
    const { statusCode: status } = answer;
    if (status >= 500 || status === 429 || status === 408) {
      throw refusal(status, answer.headers, said, `PUT ${path}`);
    }
    if (isElsewhere(status, said)) throw elsewhere(this.#child);
    // Any other refusal: it is no Terrace, or the token is not one of a child.
    this.#until = Date.now() + GOOD_MS;
  }
}

/** Does the answer say that another instance of this layer is active? */
export const isElsewhere = (status: number, said: string): boolean =>
  status === 409 && said.includes(`"${ALREADY_ACTIVATED.code}"`);

export const elsewhere = (child: string): Fault =>
  new Fault(
    'already-activated',
    `another instance of this layer is active at the parent (${ALREADY_ACTIVATED.code}): if that one is gone for good, run "terrace child deactivate ${child}" there`,
  );
