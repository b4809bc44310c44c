import type { FastifyRequest } from 'fastify';
import { each } from '#proto/async/each.ts';
import { Turns } from '#proto/async/turns.ts';
import type { BusCaller } from '#proto/bus/roles.ts';
import { repositoriesOfBlob } from '#proto/content/blobs.ts';
import { findDeltas } from '#proto/content/deltas.ts';
import type { Static } from '#proto/contract/schema.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { sees } from '../auth/request-caller.ts';

type Found = Static<typeof findDeltas.reply>;
type FoundBase = Found['bases'][number];

/** Repositories of a base that storage names in the first place. */
const MAX_NAMED = 4;
/** Max repositories of a base that are compared with the rights of the caller. */
const MAX_REPOSITORIES = 100;
/** Max bases of a request whose further repositories are read, and how many at a time. */
const [MAX_READ, MAX_PARALLEL] = [64, 8];
/** Max searches through all repositories at a time, for all callers, and how long others wait for a turn, in ms. */
const [MAX_SEARCHES, TURN_MS] = [2, 10_000];
const searches = new Turns(MAX_SEARCHES, TURN_MS, 'many bases of deltas are already being searched for');

/**
 * Which bases a caller may pull: those in a repository that it may read. Of others it must not learn, not even that
 * they are here. For one request: what storage answers is kept, and the rights are compared again by each call.
 */
export class BaseRights {
  readonly #bus: BusCaller;
  readonly #patienceMs: number;
  readonly #repositories = new Map<Digest, Repository[]>();

  constructor(bus: BusCaller, patienceMs: number) {
    this.#bus = bus;
    this.#patienceMs = patienceMs;
  }

  /**
   * Asks storage. The search for bases in other repositories is left out for a caller who may pull everything.
   * @returns also whether the caller may pull a base. One that is not here it may pull if it may pull everything.
   * @throws Fault `unavailable`; `too-many`
   */
  async find(
    request: FastifyRequest,
    query: Omit<Static<typeof findDeltas.query>, 'elsewhere'>,
  ): Promise<Found & { mayPull: (digest: Digest) => boolean }> {
    const patience = { patience: this.#patienceMs };
    if (sees(request, '*', 'content/read')) {
      const found = await this.#bus.call(findDeltas, query, patience);
      return { ...found, mayPull: () => true };
    }
    const found = await searches.run(() =>
      this.#bus.call(findDeltas, { ...query, elsewhere: true }, patience),
    );
    return { ...found, mayPull: await this.#of(request, found.bases) };
  }

  async #of(request: FastifyRequest, bases: readonly FoundBase[]): Promise<(digest: Digest) => boolean> {
    const isReadable = (repository: string) => sees(request, repository, 'content/read');
    const permitted = new Set<Digest>();
    const others: FoundBase[] = [];
    for (const base of bases) {
      if (base.repositories.some(isReadable)) permitted.add(base.digest);
      else if (base.repositories.length >= MAX_NAMED) others.push(base);
    }
    await each(others.slice(0, MAX_READ), MAX_PARALLEL, async ({ digest }) => {
      if ((await this.#repositoriesOf(digest)).some(isReadable)) permitted.add(digest);
    });
    return (digest) => permitted.has(digest);
  }

  async #repositoriesOf(digest: Digest): Promise<Repository[]> {
    const known = this.#repositories.get(digest);
    if (known) return known;
    const query = { digest, limit: MAX_REPOSITORIES };
    const { repositories } = await this.#bus.call(repositoriesOfBlob, query, { patience: this.#patienceMs });
    this.#repositories.set(digest, repositories);
    return repositories;
  }
}
