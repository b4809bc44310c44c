import { Fault } from '#proto/contract/fault.ts';
import type { Metadata } from '../metadata/metadata.ts';
import type { IngestFolders } from './ingest-folders.ts';

/**
 * How many uploads may be open at once. Each takes two inodes until it is finished or given up, so a client that only
 * begins uploads could fill a volume.
 */
export const MAX_UPLOADS = { ofAccountInRepository: 500, ofAccount: 1_000, all: 10_000 };

/** An upload that is idle for so long gives way to a new one once there are too many, in ms: without a byte, and with some. */
export const GIVES_WAY_MS = { empty: 60_000, begun: 60 * 60_000 };
/** So many give way at a time: they are looked for seldom then. */
export const MAX_GIVE_WAY = 20;

const POLL_MS = 1_000;
const MAX_REMEMBERED = 1_000;

/** When a refused client may come again, in seconds. */
const RETRY_AFTER_S = 60;

export type Owner = {
  /** Empty for clients without an account. */
  account: string;
  repository: string;
};

/** A limit that is reached, and the uploads that count for it. */
export type Reached = { limit: keyof typeof MAX_UPLOADS; ids: string[] };

/** The uploads that are open, by whose they are. */
export class OpenUploads {
  readonly #owners = new Map<string, Owner>();
  readonly #ofAccount = new Map<string, Set<string>>();
  readonly #ofAccountInRepository = new Map<string, Set<string>>();
  /** When idle ones were last looked for, by account. */
  readonly #looks = new Map<string, { at: number; done: Promise<void> }>();
  readonly #most: typeof MAX_UPLOADS;

  constructor(most = MAX_UPLOADS) {
    this.#most = most;
  }

  get size(): number {
    return this.#owners.size;
  }

  add(id: string, owner: Owner): void {
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

  /** Undefined where one more may be opened. */
  reached(owner: Owner): Reached | undefined {
    const { ofAccount, ofAccountInRepository, all } = this.#most;
    const pair = this.#ofAccountInRepository.get(pairOf(owner));
    if (pair && pair.size >= ofAccountInRepository) return { limit: 'ofAccountInRepository', ids: [...pair] };
    const own = this.#ofAccount.get(owner.account);
    if (own && own.size >= ofAccount) return { limit: 'ofAccount', ids: [...own] };
    if (this.#owners.size >= all) return { limit: 'all', ids: [...this.#owners.keys()] };
    return undefined;
  }

  /**
   * Runs `look` once a second at most for each account, as it costs a look at each upload; whoever comes meanwhile
   * waits for it.
   */
  lookForIdle({ account }: Owner, now: number, look: () => Promise<void>): Promise<void> {
    const last = this.#looks.get(account);
    if (last && Math.abs(now - last.at) < POLL_MS) return last.done;
    if (this.#looks.size >= MAX_REMEMBERED) this.#looks.clear();
    const done = look();
    this.#looks.set(account, { at: now, done });
    return done;
  }

  tooMany({ account, repository }: Owner, { limit, ids }: Reached): Fault {
    const who = account === '' ? 'clients without an account have' : `account ${account} has`;
    const where = limit === 'ofAccountInRepository' ? ` in repository ${repository}` : '';
    const whose = limit === 'all' ? 'this layer has' : who;
    return new Fault(
      'too-many',
      `${whose} ${ids.length} uploads open${where}, as many as there may be: finish them or end them (DELETE of the Location of each), or try again in ${RETRY_AFTER_S} s, when idle ones give way`,
      { detail: { retryAfter: RETRY_AFTER_S } },
    );
  }
}

/** Which of these uploads give way: those that nobody goes on with, without a byte first, then the longest idle. */
export async function idleUploads(
  ids: readonly string[],
  metadata: Pick<Metadata, 'ingest'>,
  folders: Pick<IngestFolders, 'offset'>,
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

/** Neither names of accounts nor of repositories have a blank. */
const pairOf = ({ account, repository }: Owner): string => `${account} ${repository}`;

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
