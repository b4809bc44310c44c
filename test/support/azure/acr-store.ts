import { digestOf } from '../registry/content.ts';

/** Metadata of the content of the stand-in for Azure Container Registry, as `/acr/v1` returns it. */

type Times = { createdTime: string; lastUpdateTime: string };
type Tag = Times & { digest: string };
type Manifest = Times & { mediaType: string; size: number; subject?: string; artifactType?: string };
export type Repository = Times & {
  tags: Map<string, Tag>;
  manifests: Map<string, Manifest>;
  locked: Set<string>;
};

export class AcrStore {
  readonly repositories = new Map<string, Repository>();
  /** Whether deleting only a tag changes the time of the repository: Azure does not document it. */
  untagMoves = false;
  #lastMs = 0;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A time later than all before, with seven decimals of a second, as in Azure. */
  #time(): string {
    this.#lastMs = Math.max(this.#lastMs + 1, this.#now());
    return new Date(this.#lastMs).toISOString().replace('Z', '0000Z');
  }

  put(name: string, reference: string, mediaType: string, bytes: Buffer): { subject?: string } {
    const at = this.#time();
    const times = { createdTime: at, lastUpdateTime: at };
    const repository = this.repositories.get(name) ?? {
      ...times,
      tags: new Map(),
      manifests: new Map(),
      locked: new Set(),
    };
    this.repositories.set(name, repository);
    repository.lastUpdateTime = at;
    const digest = digestOf(bytes);
    const { subject, artifactType, config } = JSON.parse(bytes.toString('utf8'));
    const type = artifactType ?? config?.mediaType;
    const before = repository.manifests.get(digest);
    repository.manifests.set(digest, {
      ...times,
      ...(before && { createdTime: before.createdTime }),
      mediaType,
      size: bytes.length,
      ...(subject && { subject: subject.digest }),
      ...(type && { artifactType: type }),
    });
    if (reference !== digest) {
      const tag = repository.tags.get(reference);
      repository.tags.set(reference, {
        ...times,
        ...(tag && { createdTime: tag.createdTime }),
        digest,
      });
    }
    return { ...(subject && { subject: subject.digest }) };
  }

  untag(name: string, tag: string): boolean {
    const repository = this.repositories.get(name);
    if (!repository?.tags.delete(tag)) return false;
    if (this.untagMoves) repository.lastUpdateTime = this.#time();
    return true;
  }

  remove(name: string, digest: string): boolean {
    const repository = this.repositories.get(name);
    if (!repository?.manifests.delete(digest)) return false;
    for (const [tag, found] of repository.tags) if (found.digest === digest) repository.tags.delete(tag);
    repository.lastUpdateTime = this.#time();
    if (repository.manifests.size === 0) this.repositories.delete(name);
    return true;
  }

  digestOf(name: string, reference: string): string | undefined {
    const repository = this.repositories.get(name);
    if (reference.includes(':')) return repository?.manifests.has(reference) ? reference : undefined;
    return repository?.tags.get(reference)?.digest;
  }

  referrers(name: string, subject: string): object {
    const found = [...(this.repositories.get(name)?.manifests ?? [])].filter(
      ([, manifest]) => manifest.subject === subject,
    );
    const manifests = found.map(([digest, { mediaType, size, artifactType }]) => ({
      digest,
      mediaType,
      size,
      ...(artifactType && { artifactType }),
    }));
    return { schemaVersion: 2, mediaType: INDEX, manifests };
  }

  attributes(name: string): object | undefined {
    const repository = this.repositories.get(name);
    if (!repository) return undefined;
    const { createdTime, lastUpdateTime, tags, manifests } = repository;
    const counts = { manifestCount: manifests.size, tagCount: tags.size };
    return { registry: 'r', imageName: name, createdTime, lastUpdateTime, ...counts };
  }

  tags(name: string): ({ name: string } & Tag)[] | undefined {
    const repository = this.repositories.get(name);
    return repository && [...repository.tags].map(([tag, properties]) => ({ name: tag, ...properties }));
  }

  manifests(name: string): ({ digest: string } & Times)[] | undefined {
    const repository = this.repositories.get(name);
    return (
      repository &&
      [...repository.manifests].map(([digest, { createdTime, lastUpdateTime }]) => ({
        digest,
        createdTime,
        lastUpdateTime,
        tags: [...repository.tags].filter(([, tag]) => tag.digest === digest).map(([tag]) => tag),
      }))
    );
  }
}

const INDEX = 'application/vnd.oci.image.index.v1+json';
