import type { HeldDelta } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import { FORMAT } from '#proto/delta/format/header.ts';
import type { Digest } from '#proto/oci/names.ts';
import { type RepositoryNames, SAME_NAMES } from '#proto/oci/repository-names.ts';
import { DELTAS_PATH, DeltaAnswer, type DeltaQuestion } from '#proto/sync/delta-exchange.ts';
import { MAX_PAGE_BYTES } from '../answers/bodies.ts';
import { readAs } from '../answers/read-as.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { bodyOf } from '../http/sending.ts';
import { pullScope } from '../login/token-scopes.ts';
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

/** Deltas that a Terrace above makes of what this layer holds. */
export class ParentDeltas implements DeltaOffers {
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
    const body: DeltaQuestion = { ...question, repository, formats: [FORMAT] };
    const waitMs = question.wait * 1_000;
    const answer = await this.#link.request(DELTAS_PATH, {
      method: 'POST',
      scope: pullScope(repository),
      headers: { 'content-type': 'application/json' },
      body: { ...bodyOf(Buffer.from(JSON.stringify(body))), slackMs: waitMs },
      waitMs,
      signal,
    });
    if (answer.statusCode !== 200) {
      throwIfTransient(await refusalIn(answer, `POST ${DELTAS_PATH}`));
      return undefined;
    }
    const bytes = await this.#link.read(answer, MAX_PAGE_BYTES, DELTAS_PATH).catch((error) => {
      if (!Fault.is(error, 'parent-invalid')) throw error;
      return undefined;
    });
    const read = bytes && readAs(DeltaAnswer, bytes);
    return read && offersIn(read, question);
  }

  /** A source of deltas, by their own digests, for one attempt. Its `repository` is that of the target. */
  source(): ArrivingSource {
    return new ArrivingSource(this.#link, this.#names, DELTAS_PATH);
  }
}

/** What the answer says of each blob of the question. A delta that can't be one of these blobs is none. */
export function offersIn(
  { deltas }: DeltaAnswer,
  { wanted, held }: Pick<AskedDeltas, 'wanted' | 'held'>,
): Map<Digest, OfferedDelta> {
  const answers = new Map(deltas.map((one) => [one.to, one]));
  const bases = new Set(held.flat());
  const offers = new Map<Digest, OfferedDelta>();
  for (const { digest, size } of wanted) {
    const { state = 'plain', delta } = answers.get(digest) ?? {};
    const isUsable =
      delta?.to === digest &&
      delta.toSize === size &&
      delta.size < size &&
      delta.format === FORMAT &&
      delta.from.every((base) => bases.has(base));
    if (state === 'delta') offers.set(digest, delta && isUsable ? delta : 'plain');
    else offers.set(digest, state);
  }
  return offers;
}
