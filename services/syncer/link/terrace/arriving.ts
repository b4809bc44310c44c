import { ARRIVING_PATH, Arriving, type ArrivingBlob } from '#proto/content/arriving.ts';
import { type RepositoryNames, SAME_NAMES } from '#proto/oci/repository-names.ts';
import { MAX_PAGE_BYTES } from '../answers/bodies.ts';
import { readAs } from '../answers/read-as.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { ArrivingSource } from './arriving-source.ts';
import { refusalIn, TerraceApi, throwIfTransient } from './terrace-api.ts';

/** How long a parent that lacks this API is not asked again, in ms: it may be a newer Terrace by then. */
const RECHECK_MS = 60 * 60_000;
/** Content that a Terrace above is still receiving itself. */
export class ParentArriving {
  readonly #link: ParentLink;
  readonly #idleMs: number | undefined;
  readonly #names: RepositoryNames;
  readonly #api = new TerraceApi(RECHECK_MS);

  /** @param idleMs an attempt ends if no byte arrives for this time */
  constructor(link: ParentLink, idleMs?: number, names = SAME_NAMES) {
    this.#link = link;
    this.#idleMs = idleMs;
    this.#names = names;
  }

  /**
   * @param after the cursor of an earlier answer: the parent answers when it has a newer one
   * @param waitS max time that the parent may wait for that, in seconds
   * @returns undefined if the parent does not publish this: it is no Terrace, or denies access
   * @throws Fault `parent-unreachable`, `busy`
   */
  async list(after: string | undefined, waitS: number, signal: AbortSignal): Promise<Arriving | undefined> {
    if (!this.#api.mayRequest) return undefined;
    const query = new URLSearchParams({ ...(after !== undefined && { after }), wait: String(waitS) });
    const scope = 'registry:catalog:*';
    const answer = await this.#link.request(`${ARRIVING_PATH}?${query}`, {
      scope,
      waitMs: waitS * 1_000,
      signal,
    });
    const { statusCode: status } = answer;
    if (status === 200) {
      const bytes = await this.#link.read(answer, MAX_PAGE_BYTES, ARRIVING_PATH);
      const arriving = readAs(Arriving, bytes);
      if (arriving) return this.#named(arriving);
    } else {
      throwIfTransient(await refusalIn(answer, `GET ${ARRIVING_PATH}`));
    }
    this.#api.suspend();
    return undefined;
  }

  /** By the names of the repositories here, without those that have none. */
  #named({ blobs, deltas, ...arriving }: Arriving): Arriving {
    const here = <T extends ArrivingBlob>(one: T): T[] => {
      const repository = this.#names.here(one.repository);
      return repository === undefined ? [] : [{ ...one, repository }];
    };
    return { ...arriving, blobs: blobs.flatMap(here), ...(deltas && { deltas: deltas.flatMap(here) }) };
  }

  /** A source for one attempt at one blob. */
  source(): ArrivingSource {
    return new ArrivingSource(this.#link, this.#names, ARRIVING_PATH, this.#idleMs);
  }
}
