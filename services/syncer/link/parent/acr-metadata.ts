import { Fault } from '#proto/contract/fault.ts';
import { type Digest, isDigest, isTag, type Repository, type Tag } from '#proto/oci/names.ts';
import type { Mark } from '#proto/sync/marks.ts';
import { isStatus } from '../answers/patience.ts';
import type { Link } from '../http/link.ts';
import { pages } from '../http/pages.ts';

/** Repositories that one token is asked for: in registries with permissions by repository no wildcard counts. */
const BATCH = 20;
const PAGE = 100;
/** RFC 3339, with any number of digits behind the second, in characters. */
const MAX_TIME = 64;

export type AcrTag = { tag: Tag; digest: Digest; updated: string };
export type AcrManifest = { digest: Digest; created: string; updated: string; tagged: boolean };
/** `gone`: there is no such repository; `closed`: this layer may not see what is told of it. */
export type Seen = Mark | 'gone' | 'closed';

/** What Azure Container Registry tells of its repositories beside their content (`/acr/v1`, 2021-07-01). */
export class AcrMetadata {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  /** The scopes by which each of these repositories is asked for. */
  scopes(repositories: readonly Repository[]): Map<Repository, string> {
    const sorted = [...repositories].sort();
    const found = new Map<Repository, string>();
    for (let at = 0; at < sorted.length; at += BATCH) {
      const batch = sorted.slice(at, at + BATCH);
      const scope = batch.map(metadataOf).join(' ');
      for (const name of batch) found.set(name, scope);
    }
    return found;
  }

  /**
   * @returns undefined where the parent has no such interface
   * @throws Fault `parent-unreachable`, `parent-invalid`, …
   */
  async look(repository: Repository, scope: string, signal: AbortSignal): Promise<Seen | undefined> {
    const path = `/acr/v1/${repository}`;
    try {
      for await (const page of pages(this.#link, path, scope, signal)) return markIn(page, path);
    } catch (error) {
      if (isStatus(error, 401, 403)) return 'closed';
      if (!isStatus(error, 404)) throw error;
      return error instanceof Fault && error.detail?.reason === 'NAME_UNKNOWN' ? 'gone' : undefined;
    }
    return undefined;
  }

  /** `recent`: those that changed last come first. */
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
    const query = `n=${PAGE}${recent ? '&orderby=timedesc' : ''}`;
    const path = `/acr/v1/${repository}/_${kind}?${query}`;
    for await (const page of pages(this.#link, path, metadataOf(repository), signal)) {
      const list = (page as Record<string, unknown> | null)?.[kind];
      // One that is not there must not pass for an empty one: what it leaves out would go here.
      if (!Array.isArray(list) && list !== null) {
        throw new Fault('parent-invalid', `GET ${path}: the parent sent a list without /${kind}`);
      }
      for (const item of list ?? []) if (typeof item === 'object' && item !== null) yield item;
    }
  }
}

const metadataOf = (repository: Repository): string => `repository:${repository}:metadata_read`;
const isText = (value: unknown): value is string => typeof value === 'string';
/** All entries of a list are held at a time, so each of their fields has a bound. */
const isTime = (value: unknown): value is string => isText(value) && value.length <= MAX_TIME;
const isCount = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 0;

function markIn(page: unknown, path: string): Mark {
  const { lastUpdateTime: updated, manifestCount, tagCount } = (page ?? {}) as Record<string, unknown>;
  // An empty repository says nothing of what it has none of.
  const [manifests = 0, tags = 0] = [manifestCount ?? undefined, tagCount ?? undefined];
  if (isTime(updated) && !Number.isNaN(Date.parse(updated)) && isCount(manifests) && isCount(tags)) {
    return { updated, manifests, tags };
  }
  throw new Fault('parent-invalid', `GET ${path}: the parent does not say when it last changed`);
}
