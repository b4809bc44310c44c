import { within } from '#proto/async/within.ts';
import {
  EVERY_MANIFEST,
  type LeftOutReferrer,
  type LeftOutReferrers,
} from '#proto/content/left-out-referrers.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { check } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Descriptor } from '#proto/oci/manifest.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { readDescriptor } from '#proto/oci/read-manifest.ts';
import { type RepositoryNames, SAME_NAMES } from '#proto/oci/repository-names.ts';
import { isStatus } from '../answers/retry.ts';
import { parentPages } from '../http/pages.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { referrersPath } from '../http/repository-paths.ts';
import { pullScope } from '../login/token-scopes.ts';
import { type LeftOutAbove, readLeftOutAbove } from './left-out-above.ts';

/**
 * Referrers as the parent lists them. `malformed`: number of entries that are not descriptors. `leftOut`: what a
 * Terrace says that it lacks itself; `hidden`: why it can't read the lists at its own parent.
 */
export type ReferrerList = {
  manifests: Descriptor[];
  malformed: number;
  leftOut: LeftOutReferrer[];
  hidden?: Hidden;
};

type Hidden = LeftOutReferrers['hidden'];

/** Statuses by which a registry says that it has no such API, or no such path. */
const NO_API = [400, 404, 405, 410, 501];
/** How long a repository without the API is not asked again, in ms. */
const RECHECK_MS = 15 * 60_000;
/** The same after a request that was cut off, or held back: that passes by itself, and images arrive meanwhile. */
const RECHECK_CUT_MS = 60_000;
/** Max time of one list, in ms: the image does not wait longer for its referrers. */
const MAX_LIST_MS = 2 * 60_000;
/** Max faults in a row in one repository, after which its other lists wait for the recheck. */
const MAX_FAULTS = 3;
/** How long a list waits for an earlier one of its repository, as long as none was read from the parent, in ms. */
const MAX_FIRST_MS = 5_000;
/** Max repositories that are remembered. */
const MAX_REPOSITORIES = 10_000;
/**
 * Max length of a listed media type, in characters: 127 for each of type and subtype (RFC 6838, 4.2). Longer ones
 * are omitted.
 */
const MAX_LISTED_MEDIA_TYPE = 255;

/**
 * What is known of one repository. `hadApi`: it has answered once. `missingUntil`, `fault`: when it is asked again, and
 * why its lists can't be read; without a fault, it just has no such API. `above`: why the parent can't read them.
 */
type Known = { hadApi?: boolean; missingUntil?: number; fault?: Fault; faults: number; above?: Hidden };

/**
 * Lists of referrers (distribution-spec 1.1, "Listing Referrers"). A single odd answer says nothing about the API: it
 * counts as missing in a repository after the digest that no manifest has was answered as badly, and is tried again
 * after `RECHECK_MS`, or `RECHECK_CUT_MS`.
 */
export class ReferrersApi {
  readonly #link: ParentLink;
  readonly #now: () => number;
  readonly #names: RepositoryNames;
  readonly #repositories = new BoundedMap<Known>(MAX_REPOSITORIES);
  /** The parent has answered with a list. */
  #hasAnswered = false;
  /** Until then: the end of the latest list that is being read, by repository. */
  readonly #first = new Map<Repository, Promise<void>>();

  constructor(link: ParentLink, names = SAME_NAMES, now = () => performance.now()) {
    this.#link = link;
    this.#names = names;
    this.#now = now;
  }

  /** Asks each repository again. */
  recheck(): void {
    for (const [repository, { hadApi = false }] of this.#repositories.entries())
      this.#repositories.set(repository, { hadApi, faults: 0 });
  }

  /** False while the repository is known to lack the API. */
  isSupported(repository: Repository): boolean {
    const { missingUntil } = this.#repositories.get(repository) ?? {};
    return missingUntil === undefined || this.#now() >= missingUntil;
  }

  /** Why the repository's lists can't be read, while that is known. */
  hiddenBy(repository: Repository): Fault | undefined {
    return this.isSupported(repository) ? undefined : this.#repositories.get(repository)?.fault;
  }

  /** Why the parent can't read the lists at its own parent, as the last list of the repository says. */
  hiddenAbove(repository: Repository): Hidden {
    return this.#repositories.get(repository)?.above;
  }

  /**
   * Manifests whose subject is `digest`; undefined if the repository's registry has no such API.
   * @throws Fault if the list exists and can't be read, or if a proxy or a permission hides the API
   */
  async list(repository: Repository, digest: Digest, signal: AbortSignal): Promise<ReferrerList | undefined> {
    // Most registries without the API are so in all repositories: one request of each shows it, not one for each image.
    const first = this.#hasAnswered ? undefined : this.#first.get(repository);
    if (first) await within(first, MAX_FIRST_MS, signal);
    if (!this.isSupported(repository)) {
      const { fault } = this.#known(repository);
      if (fault) throw fault;
      return undefined;
    }
    // Until a list was read, the parent may well be without the API: then both answers arrive in one round trip.
    const probe = this.#hasAnswered ? undefined : this.#hasApi(repository, signal);
    probe?.catch(() => {});
    const isKnown = Promise.withResolvers<void>();
    if (!this.#hasAnswered) this.#first.set(repository, isKnown.promise);
    try {
      const list = await this.#read(repository, digest, signal);
      this.#hasAnswered = true;
      this.#repositories.set(repository, {
        hadApi: true,
        faults: 0,
        ...(list.hidden && { above: list.hidden }),
      });
      return list;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Fault)) throw error;
      // A refusal is about this list. A parent that does not answer costs the retries of each.
      const faults = this.#known(repository).faults + (Fault.is(error, 'parent-unreachable', 'busy') ? 1 : 0);
      if (faults < MAX_FAULTS && (await (probe ?? this.#hasApi(repository, signal)))) {
        const { above } = this.#known(repository);
        this.#repositories.set(repository, { hadApi: true, faults, ...(above && { above }) });
        // Earlier drafts of the API answer an unknown subject with 404.
        if (isStatus(error, 404)) return { manifests: [], malformed: 0, leftOut: [] };
        throw error;
      }
      // Read after the answers: lists that were read meanwhile show that there is an API.
      const { hadApi = false } = this.#known(repository);
      // A registry that has answered once is not one without the API: something hides it now.
      const fault = hadApi || !isStatus(error, ...NO_API) ? error : undefined;
      const missingUntil = this.#now() + (isCut(error) ? RECHECK_CUT_MS : RECHECK_MS);
      this.#repositories.set(repository, { hadApi, missingUntil, ...(fault && { fault }), faults: 0 });
      if (fault) throw fault;
      return undefined;
    } finally {
      isKnown.resolve();
      if (this.#first.get(repository) === isKnown.promise) this.#first.delete(repository);
    }
  }

  #known(repository: Repository): Known {
    return this.#repositories.get(repository) ?? { faults: 0 };
  }

  async #hasApi(repository: Repository, signal: AbortSignal): Promise<boolean> {
    try {
      // A registry with the API answers the digest that no manifest has with an empty list.
      await this.#read(repository, EVERY_MANIFEST, signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Fault) return false;
      throw error;
    }
  }

  async #read(repository: Repository, digest: Digest, signal: AbortSignal): Promise<ReferrerList> {
    const either = AbortSignal.any([signal, AbortSignal.timeout(MAX_LIST_MS)]);
    const manifests: Descriptor[] = [];
    let malformed = 0;
    let above: LeftOutAbove | undefined;
    const name = this.#names.above(repository);
    const path = referrersPath(name, digest);
    try {
      for await (const page of parentPages(this.#link, path, pullScope(name), either)) {
        above ??= readLeftOutAbove(page);
        const listed = (page as { manifests?: unknown } | null)?.manifests;
        // Go programs write null for an empty list.
        if (listed !== null && !Array.isArray(listed)) {
          throw new Fault('parent-invalid', `GET ${path}: the answer is not a list of referrers`);
        }
        for (const item of listed ?? []) {
          const descriptor = readListed(item);
          if (descriptor) manifests.push(descriptor);
          else malformed += 1;
        }
      }
    } catch (error) {
      if (!either.aborted || signal.aborted) throw error;
      throw new Fault('parent-unreachable', `GET ${path}: no answer within ${MAX_LIST_MS / 60_000} min`, {
        detail: { isTimeout: true },
      });
    }
    return { manifests, malformed, leftOut: [], ...above };
  }
}

/** Whether the request is held back for a while, or got no answer, though not for the time that the list took. */
const isCut = ({ code, detail: { status, isTimeout } = {} }: Fault): boolean =>
  code === 'busy' || (code === 'parent-unreachable' && status === undefined && !isTimeout);

/** The fields that are used of a list of referrers: annotations may make up the larger part of it. */
function readListed(item: unknown): Descriptor | undefined {
  let descriptor: Descriptor;
  try {
    descriptor = check(Descriptor, readDescriptor(item));
  } catch {
    return undefined;
  }
  const { mediaType, digest, size, artifactType } = descriptor;
  return {
    mediaType: mediaType.length <= MAX_LISTED_MEDIA_TYPE ? mediaType : '',
    digest,
    size,
    ...(artifactType && artifactType.length <= MAX_LISTED_MEDIA_TYPE && { artifactType }),
  };
}
