import { manifestDeleted } from '#proto/content/content-events.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { listUnsent, listWithdrawn, type Pending, settleOutgoing } from '#proto/sync/outgoing.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import { pages } from './lists.ts';

/**
 * What clients put and deleted here that the parent has not been told, as storage had it when the pass began; and
 * what is deleted meanwhile, so that the pass does not bring it back.
 */
export class UnsentChanges implements Disposable {
  readonly #unsent: Map<Repository, Pending[]>;
  readonly #own: ReadonlySet<string>;
  readonly #withdrawn: Map<Repository, Pending[]>;
  readonly #gone: Set<string>;
  readonly #end: () => void;

  private constructor(unsent: Pending[], withdrawn: Pending[], gone: Set<string>, end: () => void) {
    this.#unsent = Map.groupBy(unsent.toSorted(bySince), ({ repository }) => repository);
    this.#own = new Set(unsent.map(({ repository, digest }) => key(repository, digest)));
    this.#withdrawn = Map.groupBy(withdrawn.toSorted(bySince), ({ repository }) => repository);
    this.#gone = gone;
    this.#end = end;
  }

  /** A ReadOnly layer tells its parent nothing, and takes what the parent has. */
  static none(): UnsentChanges {
    return new UnsentChanges([], [], new Set(), () => {});
  }

  static async load(bus: FencedBus, signal: AbortSignal): Promise<UnsentChanges> {
    const gone = new Set<string>();
    const end = bus.listen(manifestDeleted, ({ data }) => {
      if (!data.arrived) gone.add(key(data.repository, data.digest));
    });
    try {
      const withdrawn = await Array.fromAsync(listed(bus, listWithdrawn, signal));
      for (const { repository, digest } of withdrawn) gone.add(key(repository, digest));
      return new UnsentChanges(await Array.fromAsync(listed(bus, listUnsent, signal)), withdrawn, gone, end);
    } catch (error) {
      end();
      throw error;
    }
  }

  /** Those of which the parent is to be told something. */
  get repositories(): Iterable<Repository> {
    return [...this.#unsent.keys(), ...this.#withdrawn.keys()];
  }

  /** In the order in which clients put them. */
  unsent(repository: Repository): Pending[] {
    return this.#unsent.get(repository) ?? [];
  }

  isUnsent(repository: Repository, digest: Digest): boolean {
    return this.#own.has(key(repository, digest));
  }

  withdrawn(repository: Repository): Pending[] {
    return this.#withdrawn.get(repository) ?? [];
  }

  /** Whether a client deleted the manifest here, so that it is not brought again. */
  isGone(repository: Repository, digest: Digest): boolean {
    return this.#gone.has(key(repository, digest));
  }

  /** A tag of the parent points to it: it is content of both again. */
  stays(repository: Repository, digest: Digest): void {
    this.#gone.delete(key(repository, digest));
  }

  [Symbol.dispose](): void {
    this.#end();
  }
}

/** The manifests of one repository that are unsent now. */
export async function unsentNow(
  bus: FencedBus,
  repository: Repository,
  signal: AbortSignal,
): Promise<Set<Digest>> {
  const found = new Set<Digest>();
  for await (const pending of listed(bus, listUnsent, signal, `${repository}!`)) {
    if (pending.repository !== repository) break;
    found.add(pending.digest);
  }
  return found;
}

/** The parent has these: they are not unsent any more, and one that a client deleted meanwhile is to be withdrawn. */
export async function settleSent(bus: FencedBus, repository: Repository, digests: Digest[]): Promise<void> {
  for (let at = 0; at < digests.length; at += 1_000) {
    await bus.call(settleOutgoing, { repository, digests: digests.slice(at, at + 1_000), sent: true });
  }
}

/** Not to be withdrawn any more; what a client did with it since it was listed is still to be told. */
export async function settleWithdrawn(bus: FencedBus, { repository, digest, since }: Pending): Promise<void> {
  await bus.call(settleOutgoing, { repository, digests: [digest], until: since });
}

const listed = (
  bus: FencedBus,
  list: typeof listUnsent,
  signal: AbortSignal,
  from?: string,
): AsyncGenerator<Pending> =>
  pages(
    (page) => bus.call(list, { ...(from !== undefined && { after: from }), ...page }, { signal }),
    ({ manifests }) => manifests,
    ({ repository, digest }) => key(repository, digest),
  );

const key = (repository: Repository, digest: Digest): string => `${repository}!${digest}`;
const bySince = (a: Pending, b: Pending): number => a.since - b.since || (a.digest < b.digest ? -1 : 1);
