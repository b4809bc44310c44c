import type { FastifyRequest } from 'fastify';
import { each } from '#proto/async/each.ts';
import type { BusCaller } from '#proto/bus/roles.ts';
import { locateBlob } from '#proto/content/blobs.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { BasesAnswer, DeltaQuestion, PushedDelta } from '#proto/sync/delta-exchange.ts';
import { mayAlso } from '../auth/request-caller.ts';
import type { PollStep } from '../children/long-poll.ts';
import { BaseRights } from './base-rights.ts';
import type { DeltaJobs } from './delta-jobs.ts';
import { accountOf, heldDigests } from './delta-question.ts';

export type PushedDeps = { bus: BusCaller; jobs: DeltaJobs; patienceMs: number };

/** Max blobs of a question that are located at a time. */
const MAX_PARALLEL = 8;
const NOTHING: BasesAnswer = { present: [], held: [] };

/** Deltas that a child pushes, of content that this layer has: which that is, and their application. */
export class PushedDeltas {
  readonly #deps: PushedDeps;

  constructor(deps: PushedDeps) {
    this.#deps = deps;
  }

  /**
   * What a pushed delta may be made of. To one who may not pull from the repository and push to it, nothing.
   * @throws Fault `malformed`
   */
  async bases(request: FastifyRequest, question: DeltaQuestion): Promise<BasesAnswer> {
    const { repository, wanted, formats } = question;
    const held = heldDigests(question);
    const { bus, jobs, patienceMs } = this.#deps;
    const isKnown = jobs.formats.some((format) => formats.includes(format));
    if (!isKnown || !mayPush(request, repository)) return NOTHING;
    const present = new Set<Digest>();
    await each(new Set(wanted.map(({ digest }) => digest)), MAX_PARALLEL, async (digest) => {
      if (await this.#sizeOf(repository, digest)) present.add(digest);
    });
    const rights = new BaseRights(bus, patienceMs);
    const { bases, mayPull } = await rights.find(request, { repository, wanted: [], held });
    return {
      present: [...present],
      held: bases.map(({ digest }) => digest).filter(mayPull),
    };
  }

  /**
   * Has the delta applied, unless its target is in the repository.
   * @returns whether the target is there
   * @throws Fault `denied`; `malformed`, naming the field; `blob-unknown` if the delta or a base is not here;
   * `delta-invalid` if it could not be applied
   */
  async apply(request: FastifyRequest, { repository, delta }: PushedDelta): Promise<PollStep<boolean>> {
    const { jobs } = this.#deps;
    if (!mayPush(request, repository)) {
      throw new Fault(
        'denied',
        `the token may not pull from ${repository} and push to it: send the blob itself`,
      );
    }
    if (await this.#sizeOf(repository, delta.to)) return { answer: true, isReady: true };
    if (!jobs.isEnabled) throw new Fault('denied', 'delta.mode is off here: send the blob itself');
    if (!jobs.formats.includes(delta.format)) {
      throw new Fault(
        'malformed',
        `/delta/format: write one of ${jobs.formats.join(', ')}, or send the blob itself`,
      );
    }
    await this.#mustHave(request, repository, delta);
    const outcome = await jobs.submit({ kind: 'apply', repository, delta }, accountOf(request));
    const isWaiting = ['pending', 'later', 'full'].includes(outcome.state);
    if (isWaiting) return { answer: false, isReady: false };
    if (outcome.state === 'done' && (await this.#sizeOf(repository, delta.to))) {
      return { answer: true, isReady: true };
    }
    // Final, for any cause: what is transient for a blob would be retried.
    const cause = outcome.state === 'failed' ? outcome.fault : undefined;
    const reason = cause?.message ?? 'no syncer has reported its end';
    throw new Fault('delta-invalid', `the delta was not applied: ${reason}; send the blob itself`);
  }

  /** @throws Fault `blob-unknown`, `malformed` */
  async #mustHave(
    request: FastifyRequest,
    repository: Repository,
    { digest, size, from }: PushedDelta['delta'],
  ): Promise<void> {
    const { bus, patienceMs } = this.#deps;
    const pushed = await this.#sizeOf(repository, digest);
    if (pushed === undefined)
      throw new Fault('blob-unknown', `repository ${repository} has no blob ${digest}`);
    if (pushed !== size) throw new Fault('malformed', `/delta/size: the blob ${digest} has ${pushed} bytes`);
    const rights = new BaseRights(bus, patienceMs);
    const { bases, mayPull } = await rights.find(request, { repository, wanted: [], held: from });
    const here = new Set(bases.map((base) => base.digest).filter(mayPull));
    const missing = from.find((base) => !here.has(base));
    if (missing !== undefined) {
      throw new Fault('blob-unknown', `base ${missing} of the delta is not here: send the blob itself`);
    }
  }

  /** Renews its grace. @returns undefined if the repository does not have it */
  async #sizeOf(repository: Repository, digest: Digest): Promise<number | undefined> {
    const { bus, patienceMs } = this.#deps;
    try {
      return (await bus.call(locateBlob, { repository, digest }, { patience: patienceMs })).size;
    } catch (error) {
      if (Fault.is(error, 'blob-unknown', 'name-unknown')) return undefined;
      throw error;
    }
  }
}

const mayPush = (request: FastifyRequest, repository: Repository): boolean =>
  mayAlso(request, repository, 'content/write') && mayAlso(request, repository, 'content/read');
