import type { Bus } from '#proto/bus/bus.ts';
import { deleteTag, type KnownTag, listBases, listTags, putTag, setBases } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Tag } from '#proto/oci/names.ts';
import { beginSending, dropSending, settleOutgoing } from '#proto/sync/outgoing.ts';
import { Sends } from '../../../services/syncer/reconcile/context/sends.ts';

/** A registry of one repository, in memory: its tags and manifests, and what a layer stores about them. */
export class Registry {
  readonly name: string;
  /** Whether it has conditional writes. Any other registry is read before a write, in a step of its own. */
  readonly exact: boolean;
  readonly tags = new Map<Tag, Digest>();
  readonly manifests = new Set<Digest>();
  readonly bases = new Map<Tag, Digest>();
  /** In the order in which clients pushed them. */
  readonly unsent = new Set<Digest>();
  readonly withdrawn = new Set<Digest>();
  /** What passes may have made of tags at the parent. */
  readonly sending = new Map<Tag, Digest | null>();
  readonly sends = new Sends();
  /** Changes of tags and manifests. */
  changes = 0;

  constructor(name: string, exact: boolean) {
    this.name = name;
    this.exact = exact;
  }

  /** A push by a client; a layer below is one, too. */
  put(digest: Digest): void {
    if (!this.manifests.has(digest)) this.unsent.add(digest);
    this.#put(digest);
  }

  arrive(digest: Digest): void {
    this.unsent.delete(digest);
    this.#put(digest);
  }

  tag(tag: Tag, digest: Digest): void {
    if (!this.manifests.has(digest)) throw new Fault('manifest-unknown', digest);
    if (this.tags.get(tag) !== digest) this.changes += 1;
    this.tags.set(tag, digest);
  }

  untag(tag: Tag): void {
    if (this.tags.delete(tag)) this.changes += 1;
  }

  remove(digest: Digest): void {
    if (!this.manifests.delete(digest)) return;
    this.changes += 1;
    if (!this.unsent.delete(digest)) this.withdrawn.add(digest);
    for (const [tag, target] of this.tags) if (target === digest) this.untag(tag);
  }

  mustBe(tag: Tag, expect: Digest | null | undefined): void {
    const found = this.tags.get(tag);
    if (expect === undefined || (expect ?? undefined) === found) return;
    throw new Fault('conflict', `${tag} is ${found}, not ${expect}`);
  }

  /** Answers the requests of a pass to storage. `before` runs before each answer. */
  bus(before: () => Promise<void>): Bus {
    const entries = (map: Map<Tag, Digest>) => ({
      tags: [...map].map(([tag, digest]) => ({ tag, digest })).sort((a, b) => (a.tag < b.tag ? -1 : 1)),
      more: false,
    });
    type Query = {
      tag: Tag;
      digest: Digest;
      digests: Digest[];
      bases: { tag: Tag; digest: Digest | null; known?: KnownTag }[];
      expect?: Digest | null;
      base?: boolean;
      known?: KnownTag;
      loserTag?: Tag;
      move: { tag: Tag; base: Digest | null; digest: Digest | null; known: KnownTag };
      tags: { tag: Tag; digest: Digest | null }[];
    };
    const handlers = new Map<unknown, (query: Query) => unknown>([
      [listTags, () => entries(this.tags)],
      [listBases, () => entries(this.bases)],
      [
        setBases,
        ({ bases }) => {
          for (const { tag, digest, known } of bases) if (this.#isKnown(tag, known)) this.#base(tag, digest);
        },
      ],
      [
        beginSending,
        ({ move: { tag, base, digest, known } }) => {
          this.#mustBeKnown(tag, known);
          this.#base(tag, base);
          this.sending.set(tag, digest);
        },
      ],
      [
        dropSending,
        ({ tags }) => {
          for (const { tag, digest } of tags) if (this.sending.get(tag) === digest) this.sending.delete(tag);
        },
      ],
      [settleOutgoing, ({ digests }) => this.#settle(digests)],
      [
        putTag,
        ({ tag, digest, expect, base, known, loserTag }) => {
          this.mustBe(tag, expect);
          this.#mustBeKnown(tag, known);
          const loser = this.tags.get(tag);
          if (loserTag && loser) this.tag(loserTag, loser);
          this.tag(tag, digest);
          if (base) this.#base(tag, digest);
        },
      ],
      [
        deleteTag,
        ({ tag, expect, base, known }) => {
          this.mustBe(tag, expect);
          this.#mustBeKnown(tag, known);
          this.untag(tag);
          if (base) this.#base(tag, undefined);
        },
      ],
    ]);
    const call = async (request: unknown, query: Query) => {
      await before();
      const handle = handlers.get(request);
      if (!handle) throw new Error(`the model does not handle the request: ${JSON.stringify(request)}`);
      return handle(query);
    };
    return { call, publish: () => {} } as unknown as Bus;
  }

  #put(digest: Digest): void {
    if (!this.manifests.has(digest)) this.changes += 1;
    this.manifests.add(digest);
    this.withdrawn.delete(digest);
  }

  #base(tag: Tag, digest: Digest | undefined | null): void {
    if (digest) this.bases.set(tag, digest);
    else this.bases.delete(tag);
    this.sending.delete(tag);
  }

  #isKnown(tag: Tag, known: KnownTag | undefined): boolean {
    if (!known) return true;
    return (this.bases.get(tag) ?? null) === known.base && this.sending.get(tag) === known.sending;
  }

  #mustBeKnown(tag: Tag, known: KnownTag | undefined): void {
    if (!this.#isKnown(tag, known)) throw new Fault('conflict', `${tag} was sent meanwhile`);
  }

  #settle(digests: Digest[]): void {
    for (const digest of digests) {
      this.unsent.delete(digest);
      this.withdrawn.delete(digest);
    }
  }
}
