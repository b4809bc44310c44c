import { Fault } from '#proto/contract/fault.ts';
import type { MetadataReader } from '../metadata/metadata-reader.ts';
import type { IngestSizes } from './ingest-folders.ts';

/**
 * Max open uploads. Each takes three inodes until it is finished or deleted, so a client that only starts uploads could
 * fill a volume.
 */
export const MAX_UPLOADS = { ofAccountInRepository: 500, ofAccount: 1_000, all: 10_000 };

/** Idle time after which an upload is deleted for a new one at a limit, in ms: without any byte, and with some. */
export const GIVES_WAY_MS = { empty: 60_000, begun: 60 * 60_000 };
/** Max uploads deleted at a time; several, so that the search for idle ones runs seldom. */
export const MAX_GIVE_WAY = 20;

/** Min interval between searches for idle uploads, per account, in ms. */
const MIN_SEARCH_INTERVAL_MS = 1_000;
/** Max accounts whose last search is remembered. */
const MAX_SEARCHES = 1_000;

/** When a refused client may retry, in s. */
const RETRY_AFTER_S = 60;

export type UploadOwner = {
  /** Empty for clients without an account. */
  account: string;
  repository: string;
};

/** A limit that is reached, and the uploads that count towards it. */
export type Reached = { limit: keyof typeof MAX_UPLOADS; ids: string[] };

/** Open uploads by owner. */
export class OpenUploads {
  readonly #owners = new Map<string, UploadOwner>();
  readonly #ofAccount = new Map<string, Set<string>>();
  readonly #ofAccountInRepository = new Map<string, Set<string>>();
  /** Last search for idle uploads, by account; `at` in ms since 1970. */
  readonly #searches = new Map<string, { at: number; done: Promise<void> }>();
  readonly #max: typeof MAX_UPLOADS;

  constructor(max = MAX_UPLOADS) {
    this.#max = max;
  }

  get size(): number {
    return this.#owners.size;
  }

  add(id: string, owner: UploadOwner): void {
    this.#owners.set(id, owner);
    insert(this.#ofAccount, owner.account, id);
    insert(this.#ofAccountInRepository, pairOf(owner), id);
  }

  delete(id: string): void {
    const owner = this.#owners.get(id);
    if (!owner) return;
    this.#owners.delete(id);
    remove(this.#ofAccount, owner.account, id);
    remove(this.#ofAccountInRepository, pairOf(owner), id);
  }

  /** Undefined if one more upload may be opened. */
  reached(owner: UploadOwner): Reached | undefined {
    const { ofAccount, ofAccountInRepository, all } = this.#max;
    const pair = this.#ofAccountInRepository.get(pairOf(owner));
    if (pair && pair.size >= ofAccountInRepository) return { limit: 'ofAccountInRepository', ids: [...pair] };
    const ofThisAccount = this.#ofAccount.get(owner.account);
    if (ofThisAccount && ofThisAccount.size >= ofAccount)
      return { limit: 'ofAccount', ids: [...ofThisAccount] };
    if (this.#owners.size >= all) return { limit: 'all', ids: [...this.#owners.keys()] };
    return undefined;
  }

  /**
   * Runs `search` at most once a second per account, as it reads every upload. Calls in between wait for the last
   * search.
   */
  evictIdle({ account }: UploadOwner, now: number, search: () => Promise<void>): Promise<void> {
    const last = this.#searches.get(account);
    if (last && Math.abs(now - last.at) < MIN_SEARCH_INTERVAL_MS) return last.done;
    if (this.#searches.size >= MAX_SEARCHES) this.#searches.clear();
    const done = search();
    this.#searches.set(account, { at: now, done });
    return done;
  }

  tooMany({ account, repository }: UploadOwner, { limit, ids }: Reached): Fault {
    const who = account === '' ? 'clients without an account have' : `account ${account} has`;
    const where = limit === 'ofAccountInRepository' ? ` in repository ${repository}` : '';
    const subject = limit === 'all' ? 'this layer has' : who;
    return new Fault(
      'too-many',
      `${subject} ${ids.length} open uploads${where}, the maximum: finish or cancel them (DELETE the Location of each), or try again in ${RETRY_AFTER_S} s, when idle ones are removed`,
      { detail: { retryAfter: RETRY_AFTER_S } },
    );
  }
}

/** The uploads to delete: idle ones, first those without any byte, then the longest idle. At most `MAX_GIVE_WAY`. */
export async function idleUploads(
  ids: readonly string[],
  metadata: MetadataReader,
  folders: IngestSizes,
  now: number,
): Promise<string[]> {
  const idle: { id: string; isEmpty: boolean; touched: number }[] = [];
  for (const id of ids) {
    const record = await metadata.ingest(id);
    if (!record || record.touched + GIVES_WAY_MS.empty > now) continue;
    const isEmpty = (await folders.offset(id)) === 0;
    if (isEmpty || record.touched + GIVES_WAY_MS.begun <= now) {
      idle.push({ id, isEmpty, touched: record.touched });
    }
  }
  idle.sort((a, b) => Number(b.isEmpty) - Number(a.isEmpty) || a.touched - b.touched);
  return idle.slice(0, MAX_GIVE_WAY).map(({ id }) => id);
}

/** Names of accounts and repositories contain no blank. */
const pairOf = ({ account, repository }: UploadOwner): string => `${account} ${repository}`;

function insert(sets: Map<string, Set<string>>, key: string, id: string): void {
  const known = sets.get(key);
  if (known) known.add(id);
  else sets.set(key, new Set([id]));
}

function remove(sets: Map<string, Set<string>>, key: string, id: string): void {
  const known = sets.get(key);
  known?.delete(id);
  if (known?.size === 0) sets.delete(key);
}
