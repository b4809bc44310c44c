import type { HeldDelta } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Static, TSchema } from '#proto/contract/schema.ts';
import { FORMAT } from '#proto/delta/format/header.ts';
import type { Digest } from '#proto/oci/names.ts';
import { type RepositoryNames, SAME_NAMES } from '#proto/oci/repository-names.ts';
import {
  BasesAnswer,
  DELTAS_PATH,
  DeltaAnswer,
  type DeltaQuestion,
  type PushedDelta,
} from '#proto/sync/delta-exchange.ts';
import { type Answer, MAX_PAGE_BYTES } from '../answers/bodies.ts';
import { readAs } from '../answers/read-as.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { bodyOf } from '../http/sending.ts';
import { pullScope, pushScope } from '../login/token-scopes.ts';
import { ArrivingSource } from './arriving-source.ts';
import type { ParentFeed } from './parent-feed.ts';
import { refusalIn, throwIfTransient } from './terrace-api.ts';

/** What the parent has for a blob: a delta; `making`: ask again; `plain`: none. */
export type OfferedDelta = HeldDelta | 'making' | 'plain';
/** Of one image. `repository` is its name here. */
export type AskedDeltas = Omit<DeltaQuestion, 'formats'>;

/** Asks the parent for deltas. */
export interface DeltaOffers {
  readonly areOffered: boolean;
  readonly roundTripMs: number | undefined;
  ask: ParentDeltas['ask'];
}

/** Asks the parent of what a pushed delta may be made. */
export interface DeltaBases {
  readonly areOffered: boolean;
  readonly roundTripMs: number | undefined;
  bases: ParentDeltas['bases'];
}

/** Deltas that a Terrace above makes of what this layer holds, and applies to what it holds itself. */
export class ParentDeltas implements DeltaOffers, DeltaBases {
  readonly #link: ParentLink;
  readonly #feed: Pick<ParentFeed, 'deltas'>;
  readonly #names: RepositoryNames;

  constructor(link: ParentLink, feed: Pick<ParentFeed, 'deltas'>, names = SAME_NAMES) {
    this.#link = link;
    this.#feed = feed;
    this.#names = names;
  }

  /** Whether the parent has reported that it makes deltas that this layer can apply: no other one is asked. */
  get areOffered(): boolean {
    return this.#feed.deltas.includes(FORMAT);
  }

  /** Round trip of the link, in ms; undefined while it is unknown. */
  get roundTripMs(): number | undefined {
    return this.#link.roundTripMs;
  }

  /**
   * @returns what the parent has for each blob that was asked for; undefined if it answers no such question
   * @throws Fault `parent-unreachable`, `busy`
   */
  async ask(question: AskedDeltas, signal: AbortSignal): Promise<Map<Digest, OfferedDelta> | undefined> {
    const repository = this.#names.above(question.repository);
    const answer = await this.#post(DELTAS_PATH, pullScope(repository), this.#asked(question), signal);
    const read = answer && (await this.#read(answer, DELTAS_PATH, DeltaAnswer));
    return read && offersIn(read, question);
  }

  /**
   * Asks of what a pushed delta may be made.
   * @returns undefined if the parent answers no such question
   * @throws Fault `parent-unreachable`, `busy`
   */
  async bases(question: AskedDeltas, signal: AbortSignal): Promise<BasesAnswer | undefined> {
    const path = `${DELTAS_PATH}/bases`;
    const scope = pushScope(this.#names.above(question.repository));
    const answer = await this.#post(path, scope, this.#asked(question), signal);
    return answer && this.#read(answer, path, BasesAnswer);
  }

  /**
   * Has the parent apply a delta that was sent to its repository as a blob.
   * @returns whether the target is there; false: not yet, after `wait` seconds
   * @throws Fault `delta-invalid` if the target itself has to be sent; `parent-unreachable`, `busy`
   */
  async apply(push: PushedDelta, signal: AbortSignal): Promise<boolean> {
    const path = `${DELTAS_PATH}/apply`;
    const repository = this.#names.above(push.repository);
    const answer = await this.#send(path, pushScope(repository), { ...push, repository }, signal);
    if (answer.statusCode === 201 || answer.statusCode === 202) {
      await answer.body.dump();
      return answer.statusCode === 201;
    }
    const fault = await refusalIn(answer, `POST ${path}`);
    throwIfTransient(fault);
    throw new Fault('delta-invalid', fault.message, { cause: fault });
  }

  #asked(question: AskedDeltas): DeltaQuestion {
    return { ...question, repository: this.#names.above(question.repository), formats: [FORMAT] };
  }

  /** @returns undefined if the parent refuses @throws Fault `parent-unreachable`, `busy` */
  async #post(
    path: string,
    scope: string,
    question: DeltaQuestion,
    signal: AbortSignal,
  ): Promise<Answer | undefined> {
    const answer = await this.#send(path, scope, question, signal);
    if (answer.statusCode === 200) return answer;
    throwIfTransient(await refusalIn(answer, `POST ${path}`));
    return undefined;
  }

  #send(
    path: string,
    scope: string,
    body: DeltaQuestion | PushedDelta,
    signal: AbortSignal,
  ): Promise<Answer> {
    const waitMs = body.wait * 1_000;
    return this.#link.request(path, {
      method: 'POST',
      scope,
      headers: { 'content-type': 'application/json' },
      body: { ...bodyOf(Buffer.from(JSON.stringify(body))), slackMs: waitMs },
      waitMs,
      signal,
    });
  }

  /** @returns undefined if it is not as the schema says */
  async #read<T extends TSchema>(answer: Answer, path: string, schema: T): Promise<Static<T> | undefined> {
    const bytes = await this.#link.read(answer, MAX_PAGE_BYTES, path).catch((error) => {
      if (!Fault.is(error, 'parent-invalid')) throw error;
      return undefined;
    });
    return bytes && readAs(schema, bytes);
  }

  /** A source of deltas, by their own digests, for one attempt. Its `repository` is that of the target. */
  source(): ArrivingSource {
    return new ArrivingSource(this.#link, this.#names, DELTAS_PATH);
  }
}

/** What the answer says of each blob of the question. A delta that can't be one of these blobs is none. */
export function offersIn(
  { deltas }: DeltaAnswer,
  { wanted, layers, held }: Pick<AskedDeltas, 'wanted' | 'layers' | 'held'>,
): Map<Digest, OfferedDelta> {
  const answers = new Map(deltas.map((one) => [one.to, one]));
  const bases = new Set(held.flat());
  const blobs = new Set([...layers, ...wanted.map(({ digest }) => digest)]);
  const offers = new Map<Digest, OfferedDelta>();
  for (const { digest, size } of wanted) {
    const { state = 'plain', delta } = answers.get(digest) ?? {};
    const isUsable =
      delta?.to === digest &&
      delta.toSize === size &&
      delta.size < size &&
      delta.format === FORMAT &&
      !blobs.has(delta.digest) &&
      delta.from.every((base) => bases.has(base));
    if (state === 'delta') offers.set(digest, delta && isUsable ? delta : 'plain');
    else offers.set(digest, state);
  }
  return offers;
}
