import type { LayerIdentity } from '#proto/accounts/children.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type RepositoryNames, SAME_NAMES } from '#proto/oci/repository-names.ts';
import { CHANGES_PATH, Changes, type ContentChange } from '#proto/sync/changes.ts';
import { MAX_PAGE_BYTES, readErrorBody } from '../answers/bodies.ts';
import { readAs } from '../answers/read-as.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { type ActivationCache, activationRefused, conflictIn } from './activation.ts';
import { refusalIn, TerraceApi, throwIfTransient } from './terrace-api.ts';

/** How long a parent without a change feed is not asked again, in ms: it may be a Terrace by then. */
const RECHECK_MS = 60 * 60_000;

/** As query parameters. */
function parametersOf({ instance, start }: LayerIdentity): Record<string, string> {
  if (!start) return { instance };
  const { id, at, ended, before } = start;
  return { instance, start: [id, at, ended, before.join('-')].join('.') };
}

/** Reports the changes at the parent. */
export interface ChangeSource {
  changes: ParentFeed['changes'];
}

/** The change feed of a Terrace above: cursor and long poll. */
export class ParentFeed implements ChangeSource {
  readonly #link: ParentLink;
  readonly #child: string;
  readonly #names: RepositoryNames;
  readonly #activation: ActivationCache;
  readonly #api: TerraceApi;
  /** The parent has answered with changes: it is a Terrace. */
  hasAnswered = false;
  /** The last repair of its metadata that the parent reported; `''`: none. */
  repaired: string | undefined;
  /** Formats of deltas that the parent takes and makes, by its last answer. */
  deltas: readonly number[] = [];

  /** @param child the name of this layer at its parent */
  constructor(link: ParentLink, child: string, activation: ActivationCache, names = SAME_NAMES) {
    this.#link = link;
    this.#names = names;
    this.#child = child;
    this.#activation = activation;
    this.#api = new TerraceApi(RECHECK_MS, !link.azure);
  }

  /**
   * @param after a cursor of an earlier answer; without one, the answer is the current end of the journal
   * @param arriving whether the parent also reports that content is on its way to it
   * @param identity of this layer, if the request also serves as its sign of life
   * @param waitS max time that the parent may wait for a change, in seconds
   * @returns undefined if the parent has no feed: it is no Terrace, or denies access
   * @throws Fault `parent-unreachable`, `busy`, `already-activated`
   */
  async changes(
    after: string | undefined,
    waitS: number,
    signal: AbortSignal,
    { arriving = false, identity }: { arriving?: boolean; identity?: LayerIdentity } = {},
  ): Promise<Changes | undefined> {
    if (!this.#api.mayRequest) return undefined;
    const query = new URLSearchParams({
      ...(after !== undefined && { after }),
      wait: String(waitS),
      ...(arriving && { arriving: '1' }),
      ...(identity && { child: this.#child, ...parametersOf(identity) }),
    });
    const answer = await this.#link.request(`${CHANGES_PATH}?${query}`, {
      scope: 'registry:catalog:*',
      waitMs: waitS * 1_000,
      signal,
    });
    const { statusCode: status } = answer;
    if (status === 200) {
      const changes = await this.#link.read(answer, MAX_PAGE_BYTES, CHANGES_PATH).then(
        (bytes) => readAs(Changes, bytes),
        (error) => {
          // Larger than any answer of a Terrace: the changes are found by comparing instead.
          if (!Fault.is(error, 'parent-invalid')) throw error;
          return undefined;
        },
      );
      if (changes) {
        this.hasAnswered = true;
        this.repaired = changes.repaired ?? '';
        this.deltas = changes.deltas ?? [];
        if (changes.known) this.#activation.confirmed();
        return { ...changes, changes: changes.changes.flatMap((one) => this.#here(one)) };
      }
    } else {
      const body = await readErrorBody(answer);
      const conflict = conflictIn(status, body);
      if (conflict) {
        this.#activation.invalidate();
        throw activationRefused(this.#child, conflict);
      }
      throwIfTransient(await refusalIn(answer, `GET ${CHANGES_PATH}`, body));
    }
    this.#api.suspend();
    return undefined;
  }

  /** The change by the name of the repository here; nothing if the repository has none. */
  #here(change: ContentChange): ContentChange[] {
    const repository = this.#names.here(change.repository);
    return repository === undefined ? [] : [{ ...change, repository }];
  }
}
