import { Fault } from '#proto/contract/fault.ts';
import { type Digest, isDigest, isTag, type Repository, type Tag } from '#proto/oci/names.ts';
import { type RepositoryNames, SAME_NAMES } from '#proto/oci/repository-names.ts';
import type { Mark } from '#proto/sync/marks.ts';
import { isStatus } from '../answers/retry.ts';
import { parentPages } from '../http/pages.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { acrPath } from '../http/repository-paths.ts';
import { metadataScope } from '../login/token-scopes.ts';

/** Max repositories in the scope of one token: registries with permissions by repository accept no wildcard. */
const MAX_BATCH = 20;
/** Entries per page. */
const PAGE_SIZE = 100;
/** Max length of a timestamp, in characters: RFC 3339, with any number of fractional digits. */
const MAX_TIME = 64;

export type AcrTag = { tag: Tag; digest: Digest; updated: string };
export type AcrManifest = { digest: Digest; created: string; updated: string; tagged: boolean };
/** `missing`: the repository does not exist; `unreadable`: this layer can't read its metadata. */
export type RepositoryState = Mark | 'missing' | 'unreadable';

/** Lists tags and manifests with their times. */
export interface AcrLister {
  tags: AcrMetadata['tags'];
  manifests: AcrMetadata['manifests'];
}

/** Metadata that Azure Container Registry has on its repositories, in addition to content (`/acr/v1`, 2021-07-01). */
export class AcrMetadata implements AcrLister {
  readonly #link: ParentLink;
  readonly #names: RepositoryNames;

  constructor(link: ParentLink, names = SAME_NAMES) {
    this.#link = link;
    this.#names = names;
  }

  /** The scope for requests on each of these repositories. Repositories share one in batches, and so share a token. */
  scopes(repositories: readonly Repository[]): Map<Repository, string> {
    const sorted = [...repositories].sort();
    const scopes = new Map<Repository, string>();
    for (let at = 0; at < sorted.length; at += MAX_BATCH) {
      const batch = sorted.slice(at, at + MAX_BATCH);
      const scope = batch.map((name) => metadataScope(this.#names.above(name))).join(' ');
      for (const name of batch) scopes.set(name, scope);
    }
    return scopes;
  }

  /**
   * Reads when the repository last changed, and its counts.
   * @returns undefined if the parent does not have this API
   * @throws Fault `parent-unreachable`, `parent-invalid`, …
   */
  async lastChange(
    repository: Repository,
    scope: string,
    signal: AbortSignal,
  ): Promise<RepositoryState | undefined> {
    const path = acrPath(this.#names.above(repository));
    try {
      for await (const page of parentPages(this.#link, path, scope, signal)) return markIn(page, path);
    } catch (error) {
      if (isStatus(error, 401, 403)) return 'unreadable';
      if (!isStatus(error, 404)) throw error;
      return error instanceof Fault && error.detail?.reason === 'NAME_UNKNOWN' ? 'missing' : undefined;
    }
    return undefined;
  }

  /** @param recent whether to list the most recently changed first */
  async *tags(repository: Repository, recent: boolean, signal: AbortSignal): AsyncGenerator<AcrTag> {
    for await (const item of this.#list(repository, 'tags', recent, signal)) {
      const { name, digest, lastUpdateTime: updated } = item;
      if (isText(name) && isTag(name) && isText(digest) && isDigest(digest) && isTime(updated)) {
        yield { tag: name, digest, updated };
      }
    }
  }

  async *manifests(
    repository: Repository,
    recent: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<AcrManifest> {
    for await (const item of this.#list(repository, 'manifests', recent, signal)) {
      const { digest, createdTime: created, lastUpdateTime: updated, tags } = item;
      if (isText(digest) && isDigest(digest) && isTime(created) && isTime(updated)) {
        yield { digest, created, updated, tagged: Array.isArray(tags) && tags.length > 0 };
      }
    }
  }

  async *#list(
    repository: Repository,
    kind: 'tags' | 'manifests',
    recent: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Record<string, unknown>> {
    const query = `n=${PAGE_SIZE}${recent ? '&orderby=timedesc' : ''}`;
    const name = this.#names.above(repository);
    const path = `${acrPath(name)}/_${kind}?${query}`;
    for await (const page of parentPages(this.#link, path, metadataScope(name), signal)) {
      const list = (page as Record<string, unknown> | null)?.[kind];
      // A missing list must not pass for an empty one: that would delete content of this layer.
      if (!Array.isArray(list) && list !== null) {
        throw new Fault('parent-invalid', `GET ${path}: the parent sent a list without /${kind}`);
      }
      for (const item of list ?? []) if (typeof item === 'object' && item !== null) yield item;
    }
  }
}

const isText = (value: unknown): value is string => typeof value === 'string';
/** All entries of a list are in memory at once, so each of their fields has a bound. */
const isTime = (value: unknown): value is string => isText(value) && value.length <= MAX_TIME;
const isCount = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 0;

function markIn(page: unknown, path: string): Mark {
  const { lastUpdateTime: updated, manifestCount, tagCount } = (page ?? {}) as Record<string, unknown>;
  // An empty repository omits its counts.
  const [manifests = 0, tags = 0] = [manifestCount ?? undefined, tagCount ?? undefined];
  if (isTime(updated) && !Number.isNaN(Date.parse(updated)) && isCount(manifests) && isCount(tags)) {
    return { updated, manifests, tags };
  }
  throw new Fault(
    'parent-invalid',
    `GET ${path}: the answer has no valid lastUpdateTime, manifestCount and tagCount`,
  );
}
