import { manifestDeleted } from '#proto/content/content-events.ts';
import type { Traceparent } from '#proto/contract/traceparent.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import {
  listSending,
  listUnsent,
  listWithdrawn,
  type Pending,
  type SendingTag,
  settleOutgoing,
} from '#proto/sync/outgoing.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import { listEntries } from './lists.ts';

/**
 * Manifests that clients put and deleted here and that are not pushed yet, and what an earlier pass may have made of
 * tags at the parent, as listed when the pass began. Deletions during the pass are added, so that the pass does not
 * pull the manifest again.
 */
export class UnsentChanges implements Disposable {
  readonly #unsent: Map<Repository, Pending[]>;
  readonly #unsentKeys: ReadonlySet<string>;
  readonly #traces: ReadonlyMap<string, Traceparent>;
  readonly #withdrawn: Map<Repository, Pending[]>;
  readonly #sending: Map<Repository, SendingTag[]>;
  readonly #deleted: Set<string>;
  readonly #end: () => void;

  private constructor(
    unsent: Pending[],
    withdrawn: Pending[],
    sending: SendingTag[],
    deleted: Set<string>,
    end: () => void,
  ) {
    this.#unsent = Map.groupBy(unsent.toSorted(bySince), ({ repository }) => repository);
    this.#unsentKeys = new Set(unsent.map(({ repository, digest }) => key(repository, digest)));
    this.#traces = new Map(
      unsent.flatMap(({ repository, digest, traceparent }) =>
        traceparent ? [[key(repository, digest), traceparent] as const] : [],
      ),
    );
    this.#withdrawn = Map.groupBy(withdrawn.toSorted(bySince), ({ repository }) => repository);
    this.#sending = Map.groupBy(sending, ({ repository }) => repository);
    this.#deleted = deleted;
    this.#end = end;
  }

  /** For a ReadOnly layer, which pushes nothing. */
  static none(): UnsentChanges {
    return new UnsentChanges([], [], [], new Set(), () => {});
  }

  static async load(bus: FencedBus, signal: AbortSignal): Promise<UnsentChanges> {
    const deleted = new Set<string>();
    const end = bus.listen(manifestDeleted, ({ data }) => {
      if (!data.arrived) deleted.add(key(data.repository, data.digest));
    });
    try {
      const withdrawn = await Array.fromAsync(listPending(bus, listWithdrawn, signal));
      for (const { repository, digest } of withdrawn) deleted.add(key(repository, digest));
      return new UnsentChanges(
        await Array.fromAsync(listPending(bus, listUnsent, signal)),
        withdrawn,
        await Array.fromAsync(listAllSending(bus, signal)),
        deleted,
        end,
      );
    } catch (error) {
      end();
      throw error;
    }
  }

  /** Repositories with pending changes. */
  get repositories(): Iterable<Repository> {
    return [...this.#unsent.keys(), ...this.#withdrawn.keys(), ...this.#sending.keys()];
  }

  /** Oldest first. */
  unsent(repository: Repository): Pending[] {
    return this.#unsent.get(repository) ?? [];
  }

  isUnsent(repository: Repository, digest: Digest): boolean {
    return this.#unsentKeys.has(key(repository, digest));
  }

  /** Span of the request that put the manifest, if it is unsent and traces were on. */
  traceparentOf(repository: Repository, digest: Digest): Traceparent | undefined {
    return this.#traces.get(key(repository, digest));
  }

  withdrawn(repository: Repository): Pending[] {
    return this.#withdrawn.get(repository) ?? [];
  }

  /** What an earlier pass may have made of tags at the parent, without recording it. */
  sending(repository: Repository): ReadonlyMap<Tag, Digest | null> {
    return new Map(this.#sending.get(repository)?.map(({ tag, digest }) => [tag, digest]));
  }

  /** Whether a client deleted the manifest here, so that it is not pulled again. */
  isDeleted(repository: Repository, digest: Digest): boolean {
    return this.#deleted.has(key(repository, digest));
  }

  /** A tag of the parent points to the manifest: it may be pulled again. */
  stays(repository: Repository, digest: Digest): void {
    this.#deleted.delete(key(repository, digest));
  }

  [Symbol.dispose](): void {
    this.#end();
  }
}

/** The manifests of one repository that are unsent now. */
export async function readUnsent(
  bus: FencedBus,
  repository: Repository,
  signal: AbortSignal,
): Promise<Set<Digest>> {
  const digests = new Set<Digest>();
  for await (const pending of listPending(bus, listUnsent, signal, `${repository}!`)) {
    if (pending.repository !== repository) break;
    digests.add(pending.digest);
  }
  return digests;
}

/** Records that the parent has these manifests. One that a client deleted meanwhile is to be withdrawn. */
export async function settleSent(bus: FencedBus, repository: Repository, digests: Digest[]): Promise<void> {
  for (let at = 0; at < digests.length; at += 1_000) {
    await bus.call(settleOutgoing, { repository, digests: digests.slice(at, at + 1_000), sent: true });
  }
}

/** Records that the withdrawal is done or not needed. Changes that clients made after it was listed stay pending. */
export async function settleWithdrawn(bus: FencedBus, { repository, digest, since }: Pending): Promise<void> {
  await bus.call(settleOutgoing, { repository, digests: [digest], until: since });
}

const listPending = (
  bus: FencedBus,
  list: typeof listUnsent,
  signal: AbortSignal,
  from?: string,
): AsyncGenerator<Pending> =>
  listEntries(
    (page) => bus.call(list, { ...(from !== undefined && { after: from }), ...page }, { signal }),
    ({ manifests }) => manifests,
    ({ repository, digest }) => key(repository, digest),
  );

const listAllSending = (bus: FencedBus, signal: AbortSignal): AsyncGenerator<SendingTag> =>
  listEntries(
    (page) => bus.call(listSending, page, { signal }),
    ({ tags }) => tags,
    ({ repository, tag }) => `${repository}!${tag}`,
  );

const key = (repository: Repository, digest: Digest): string => `${repository}!${digest}`;
const bySince = (a: Pending, b: Pending): number => a.since - b.since || (a.digest < b.digest ? -1 : 1);
