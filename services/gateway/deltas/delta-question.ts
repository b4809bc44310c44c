import type { FastifyRequest } from 'fastify';
import type { BusCaller } from '#proto/bus/roles.ts';
import { MAX_HELD, MIN_DELTA_TARGET_BYTES } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { DeltaAnswer, DeltaQuestion } from '#proto/sync/delta-exchange.ts';
import { type FoundDeltas, makeJobFor } from '#proto/sync/make-delta-job.ts';
import { mayAlso } from '../auth/request-caller.ts';
import type { PollStep } from '../children/long-poll.ts';
import type { ContentCache } from '../content/content-cache.ts';
import { BaseRights } from './base-rights.ts';
import type { DeltaJobs } from './delta-jobs.ts';

export type QuestionDeps = {
  bus: BusCaller;
  cache: Pick<ContentCache, 'blob'>;
  jobs: DeltaJobs;
  patienceMs: number;
};

type Entry = DeltaAnswer['deltas'][number];
type Known = FoundDeltas & { mayPull: (digest: Digest) => boolean };

/** Whose jobs they are, for their bound. */
export const accountOf = ({ caller }: FastifyRequest): string => caller?.identity?.name ?? '';

/** Whether deltas are made for the caller: they cost processor time, which is bounded by account. */
export const mayOrder = ({ caller }: FastifyRequest): boolean => caller?.identity?.anonymous === false;

/** @throws Fault `malformed` */
export function heldDigests({ held }: Pick<DeltaQuestion, 'held'>): Digest[] {
  const digests = [...new Set(held.flat())];
  if (digests.length <= MAX_HELD) return digests;
  throw new Fault('malformed', `/held: has ${digests.length} digests, name ${MAX_HELD} at most`);
}

/** The answers to one question: of one request, as often as it is checked while it waits. */
export class QuestionAnswers {
  readonly #deps: QuestionDeps;
  readonly #question: DeltaQuestion;
  readonly #held: Digest[];
  readonly #rights: BaseRights;
  /** Whether a job waits until another one of the account has ended, by the last check. */
  hasWaitingJobs = false;

  /** @throws Fault `malformed` */
  constructor(deps: QuestionDeps, question: DeltaQuestion) {
    this.#deps = deps;
    this.#question = question;
    this.#held = heldDigests(question);
    this.#rights = new BaseRights(deps.bus, deps.patienceMs);
  }

  /** To one who may not pull from the repository, as if it had none of the blobs. */
  async check(request: FastifyRequest): Promise<PollStep<DeltaAnswer>> {
    const { repository, wanted, formats } = this.#question;
    const { jobs } = this.#deps;
    const isKnown = jobs.formats.some((format) => formats.includes(format));
    const mayPull = mayAlso(request, repository, 'content/read');
    const worth = wanted.filter(({ size }) => size >= MIN_DELTA_TARGET_BYTES);
    const known = isKnown && mayPull && worth.length > 0 ? await this.#find(request, worth) : undefined;
    const deltas: Entry[] = [];
    this.hasWaitingJobs = false;
    for (const { digest, size } of wanted) {
      const isWorth = size >= MIN_DELTA_TARGET_BYTES;
      deltas.push(
        known && isWorth ? await this.#answer(request, digest, known) : { to: digest, state: 'plain' },
      );
    }
    return { answer: { deltas }, isReady: deltas.every(({ state }) => state !== 'making') };
  }

  #find(request: FastifyRequest, worth: DeltaQuestion['wanted']): Promise<Known> {
    const { repository } = this.#question;
    const wanted = [...new Set(worth.map(({ digest }) => digest))];
    return this.#rights.find(request, { repository, wanted, held: this.#held });
  }

  async #answer(request: FastifyRequest, to: Digest, known: Known): Promise<Entry> {
    const { formats } = this.#question;
    const [delta] = known.deltas
      .filter((one) => one.to === to && formats.includes(one.format) && one.from.every(known.mayPull))
      .toSorted((a, b) => a.size - b.size);
    if (delta) return { to, state: 'delta', delta };
    const isMaking = await this.#make(request, to, known);
    return { to, state: isMaking ? 'making' : 'plain' };
  }

  /** @returns whether a delta is being made */
  async #make(request: FastifyRequest, to: Digest, known: Known): Promise<boolean> {
    const { jobs } = this.#deps;
    if (!mayOrder(request)) return false;
    const toSize = await this.#sizeOf(to);
    if (toSize === undefined) return false;
    const { repository } = this.#question;
    const job = makeJobFor({ repository, to, toSize, reason: 'asked' }, this.#question, known, known.mayPull);
    if (!job) return false;
    const { state } = await jobs.submit(job, accountOf(request));
    if (state === 'later') this.hasWaitingJobs = true;
    return state === 'pending' || state === 'later';
  }

  /** Its size in fact; undefined if the repository does not have it. */
  async #sizeOf(digest: Digest): Promise<number | undefined> {
    try {
      return (await this.#deps.cache.blob(this.#question.repository, digest)).size;
    } catch (error) {
      if (Fault.is(error, 'blob-unknown', 'name-unknown')) return undefined;
      throw error;
    }
  }
}
