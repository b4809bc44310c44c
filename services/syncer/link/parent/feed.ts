import type { LayerIdentity } from '#proto/accounts/children.ts';
import { Fault } from '#proto/contract/fault.ts';
import { CHANGES_PATH, Changes } from '#proto/sync/changes.ts';
import { PAGE_LIMIT, text } from '../answers/bodies.ts';
import { readAs } from '../answers/read-as.ts';
import type { Link } from '../http/link.ts';
import { type Activation, refused, takenSince } from './activation.ts';
import { TerraceApi } from './terrace-api.ts';

/** A parent that tells no changes is asked again after so long, in ms: it may be a Terrace by then. */
const ASK_AGAIN_MS = 60 * 60_000;

/** As parameters of a query. */
function wordsOf({ instance, start }: LayerIdentity): Record<string, string> {
  if (!start) return { instance };
  const { id, at, ended, before } = start;
  return { instance, start: [id, at, ended, before.join('-')].join('.') };
}

/** What a Terrace above tells of its changes. */
export class ParentFeed {
  readonly #link: Link;
  readonly #child: string;
  readonly #activation: Pick<Activation, 'confirmed' | 'invalidate'>;
  readonly #api: TerraceApi;
  /** It has told its changes: it is a Terrace. */
  spoke = false;
  /** What it last said of repairs of its metadata; `''`: that there was none. */
  repaired: string | undefined;

  /** @param child the name of this layer at its parent */
  constructor(link: Link, child: string, activation: Pick<Activation, 'confirmed' | 'invalidate'>) {
    this.#link = link;
    this.#child = child;
    this.#activation = activation;
    this.#api = new TerraceApi(ASK_AGAIN_MS, !link.azure);
  }

  /**
   * @param after a cursor of an earlier answer; without one, the answer is where the journal ends now
   * @param arriving whether to be told, too, that content is on its way to the parent
   * @param identity of this layer, where the request is to be the sign that it is there
   * @param waitS how long the parent may wait for something to tell, in seconds
   * @returns undefined where the parent tells no changes, as it is no Terrace or does not let us
   * @throws Fault `parent-unreachable`, `busy`, `already-activated`
   */
  async changes(
    after: string | undefined,
    waitS: number,
    signal: AbortSignal,
    { arriving = false, identity }: { arriving?: boolean; identity?: LayerIdentity } = {},
  ): Promise<Changes | undefined> {
    if (!this.#api.isSpoken) return undefined;
    const query = new URLSearchParams({
      ...(after !== undefined && { after }),
      wait: String(waitS),
      ...(arriving && { arriving: '1' }),
      ...(identity && { child: this.#child, ...wordsOf(identity) }),
    });
    const answer = await this.#link.request(`${CHANGES_PATH}?${query}`, {
      scope: 'registry:catalog:*',
      waitMs: waitS * 1_000,
      signal,
    });
    const { statusCode: status } = answer;
    if (status === 200) {
      const found = await this.#link.read(answer, PAGE_LIMIT, CHANGES_PATH).then(
        (bytes) => readAs(Changes, bytes),
        (error) => {
          // More than any Terrace tells at once: what there is is found by comparing.
          if (!Fault.is(error, 'parent-invalid')) throw error;
          return undefined;
        },
      );
      if (found) {
        this.spoke = true;
        this.repaired = found.repaired ?? '';
        if (found.known) this.#activation.confirmed();
        return found;
      }
    } else {
      const said = await text(answer);
      const other = takenSince(status, said);
      if (other) {
        this.#activation.invalidate();
        throw refused(this.#child, other.taken);
      }
      await TerraceApi.refused(answer, `GET ${CHANGES_PATH}`, said);
    }
    this.#api.rest();
    return undefined;
  }
}
