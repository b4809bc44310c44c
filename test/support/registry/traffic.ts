import { setTimeout as sleep } from 'node:timers/promises';
import { mediaTypes, parseManifest } from '#proto/oci/manifest.ts';
import { patience } from '../until.ts';
import { contentOf, digestOf } from './content.ts';
import { execute } from './debian.ts';
import { request } from './registry.ts';

/** A registry that clients use: a layer, or the cloud, which has neither conditional requests nor deletion by tag. */
export type Place = { name: string; host: string; isLayer: boolean };

/**
 * An acknowledged push (201): of a manifest under a tag; or of one without a tag, which may have a subject.
 */
export type AcknowledgedPush = {
  place: string;
  repository: string;
  tag?: string;
  digest: string;
  subject?: string;
};

export type TrafficOptions = {
  next: () => number;
  repositories?: number;
  tags?: number;
  /** Average time between two operations of a client, in ms. */
  pace?: number;
};

/** Number of layers that images share, and max size of a layer. */
const SHARED = 6;
const MAX_BYTES = 60_000;
const ANSWER_MS = patience(10_000);
const RETRY_MS = 600;

/** Clients that push, tag, untag and delete in several places at the same time, and what was acknowledged to them. */
export class Traffic {
  readonly acknowledged: AcknowledgedPush[] = [];
  /** `repository@digest` that a client deleted or untagged, or may have: requests without an answer count, too. */
  readonly deletedOrUntagged = new Set<string>();
  /** `repository:tag@digest` from which a client that had read the tag moved it, or may have. */
  readonly movedFrom = new Set<string>();
  readonly counts = {
    pushed: 0,
    tagless: 0,
    tagged: 0,
    untagged: 0,
    deleted: 0,
    overtaken: 0,
    unanswered: 0,
    idle: 0,
  };
  readonly repositories: string[];
  readonly tags: string[];
  readonly #next: () => number;
  readonly #pace: number;
  /** Sizes of the manifests that were pushed under a tag, by digest. */
  readonly #sizes = new Map<string, number>();
  #serial = 0;

  constructor({ next, repositories = 3, tags = 4, pace = 20 }: TrafficOptions) {
    this.#next = next;
    this.#pace = pace;
    this.repositories = Array.from({ length: repositories }, (_, index) => `app/${index}`);
    this.tags = Array.from({ length: tags }, (_, index) => `v${index}`);
  }

  /** Runs one client in each place, until that many operations have been tried in total and `enough` returns true. */
  async run(places: Place[], operations: number, enough = () => true): Promise<void> {
    let remaining = operations;
    const client = async (place: Place) => {
      while (remaining > 0 || !enough()) {
        remaining -= 1;
        try {
          await this.#act(place);
        } catch (error) {
          if (error instanceof Unexpected) throw error;
          this.counts.unanswered += 1;
          // A killed service is restarted soon.
          await sleep(RETRY_MS * this.#next());
        }
        await sleep(2 * this.#pace * this.#next());
      }
    };
    await Promise.all(places.map(client));
  }

  /** Copies an acknowledged manifest to another repository of the same place. @returns whether skopeo succeeded */
  async copy(place: Place): Promise<boolean> {
    const from = this.acknowledged.find((push) => push.place === place.name && this.#isPresent(push));
    if (!from) return false;
    this.#serial += 1;
    const [repository, tag] = [`copied/${place.name}`, `c${this.#serial}`];
    const source = `docker://${place.host}/${from.repository}@${from.digest}`;
    const insecure = ['--src-tls-verify=false', '--dest-tls-verify=false'];
    const parameters = ['copy', '-q', '--preserve-digests', ...insecure, source];
    try {
      await execute('skopeo', [...parameters, `docker://${place.host}/${repository}:${tag}`], {
        timeout: ANSWER_MS,
      });
    } catch {
      this.counts.unanswered += 1;
      return false;
    }
    this.acknowledged.push({ place: place.name, repository, tag, digest: from.digest });
    return true;
  }

  #isPresent({ repository, digest }: AcknowledgedPush): boolean {
    return !this.deletedOrUntagged.has(`${repository}@${digest}`);
  }

  #act(place: Place): Promise<void> {
    const repository = this.#pick(this.repositories);
    const dice = this.#next();
    if (dice < 0.5) return this.#push(place, repository);
    if (dice < 0.72) return this.#retag(place, repository);
    return this.#remove(place, repository, dice < 0.9 && place.isLayer);
  }

  async #push(place: Place, repository: string): Promise<void> {
    this.#serial += 1;
    const own = { seed: `${place.name} ${this.#serial}`, size: 1 + this.#randomBelow(MAX_BYTES) };
    const shared = { seed: `shared ${this.#randomBelow(SHARED)}`, size: MAX_BYTES };
    const layers = [shared, own].map(contentOf);
    const descriptors = [];
    for (const bytes of [Buffer.from('{}'), ...layers]) {
      descriptors.push(await this.#pushBlob(place, repository, bytes));
    }
    const [config, ...rest] = descriptors;
    const mediaType = mediaTypes.ociManifest;
    const document = { schemaVersion: 2, mediaType, config, layers: rest };
    const dice = this.#next();
    if (dice < 0.1) return this.#pushTagless(place, repository, document);
    if (dice < 0.2 && place.isLayer) return this.#pushReferrer(place, repository, document);
    const bytes = Buffer.from(JSON.stringify(document));
    if (await this.#putTag(place, repository, this.#pick(this.tags), bytes)) this.counts.pushed += 1;
  }

  /** Pushes a referrer of a tagged manifest. */
  async #pushReferrer(place: Place, repository: string, document: object): Promise<void> {
    const digest = await this.#head(place, repository, this.#pick(this.tags));
    if (!digest) return this.#countIdle();
    const subject = { mediaType: mediaTypes.ociManifest, digest, size: this.#sizes.get(digest) ?? 1 };
    await this.#pushTagless(place, repository, { ...document, subject }, digest);
  }

  async #pushTagless(place: Place, repository: string, document: object, subject?: string): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes);
    const headers = { 'Content-Type': mediaTypes.ociManifest };
    const body = bytes as Buffer<ArrayBuffer>;
    const path = `/v2/${repository}/manifests/${digest}`;
    await this.#request(place, path, { method: 'PUT', headers, body }, [201]);
    this.acknowledged.push({ place: place.name, repository, digest, ...(subject && { subject }) });
    this.counts.tagless += 1;
  }

  async #retag(place: Place, repository: string): Promise<void> {
    const listed = await this.#listTags(place, repository);
    if (listed.length === 0) return this.#countIdle();
    const path = `/v2/${repository}/manifests/${this.#pick(listed)}`;
    const answer = await this.#request(
      place,
      path,
      { headers: { Accept: mediaTypes.ociManifest } },
      [200, 404],
    );
    if (answer.status === 404) return this.#countIdle();
    if (await this.#putTag(place, repository, this.#pick(this.tags), answer.bytes)) this.counts.tagged += 1;
  }

  /** @returns whether the registry accepted it; false if another client was faster */
  async #putTag(place: Place, repository: string, tag: string, bytes: Buffer): Promise<boolean> {
    const before = await this.#head(place, repository, tag);
    const digest = digestOf(bytes);
    const condition = before ? { 'If-Match': `"${before}"` } : { 'If-None-Match': '*' };
    const headers = { 'Content-Type': mediaTypes.ociManifest, ...(place.isLayer && condition) };
    const previous = before && before !== digest && `${repository}:${tag}@${before}`;
    this.#sizes.set(digest, bytes.byteLength);
    const body = bytes as Buffer<ArrayBuffer>;
    const path = `/v2/${repository}/manifests/${tag}`;
    let status: number | undefined;
    try {
      // A blob of the manifest may be deleted at the same time.
      const statuses = [201, 400, 404, 412];
      ({ status } = await this.#request(place, path, { method: 'PUT', headers, body }, statuses));
    } finally {
      if (previous && (status === 201 || status === undefined)) this.movedFrom.add(previous);
    }
    if (status === 201) {
      this.acknowledged.push({ place: place.name, repository, tag, digest });
      return true;
    }
    this.counts.overtaken += 1;
    return false;
  }

  /** Deletes a tag, or the manifest that it points to. */
  async #remove(place: Place, repository: string, byTag: boolean): Promise<void> {
    const listed = await this.#listTags(place, repository);
    if (listed.length === 0) return this.#countIdle();
    const tag = this.#pick(listed);
    const digest = await this.#head(place, repository, tag);
    if (!digest) return this.#countIdle();
    this.deletedOrUntagged.add(`${repository}@${digest}`);
    const headers = { ...(byTag && { 'If-Match': `"${digest}"` }) };
    const path = `/v2/${repository}/manifests/${byTag ? tag : digest}`;
    const { status } = await this.#request(place, path, { method: 'DELETE', headers }, [202, 404, 412]);
    if (status !== 202) this.counts.overtaken += 1;
    else if (byTag) this.counts.untagged += 1;
    else this.counts.deleted += 1;
  }

  async #pushBlob(place: Place, repository: string, bytes: Buffer) {
    const digest = digestOf(bytes);
    const path = `/v2/${repository}/blobs/`;
    const existing = await this.#request(place, path + digest, { method: 'HEAD' }, [200, 404]);
    if (existing.status === 404) {
      const { location } = await this.#request(place, `${path}uploads/`, { method: 'POST' }, [202]);
      const url = new URL(location, `http://${place.host}`);
      url.searchParams.set('digest', digest);
      const headers = { 'Content-Type': 'application/octet-stream' };
      const body = bytes as Buffer<ArrayBuffer>;
      await this.#request(place, url.pathname + url.search, { method: 'PUT', headers, body }, [201]);
    }
    return { mediaType: 'application/octet-stream', digest, size: bytes.byteLength };
  }

  async #head(place: Place, repository: string, tag: string): Promise<string | undefined> {
    const headers = { Accept: mediaTypes.ociManifest };
    const path = `/v2/${repository}/manifests/${tag}`;
    const answer = await this.#request(place, path, { method: 'HEAD', headers }, [200, 404]);
    return answer.status === 200 ? answer.digest : undefined;
  }

  async #listTags(place: Place, repository: string): Promise<string[]> {
    const answer = await this.#request(place, `/v2/${repository}/tags/list`, {}, [200, 404]);
    const tags: string[] | null = answer.status === 200 ? JSON.parse(answer.bytes.toString()).tags : [];
    // Fallback tags of referrers are written by the registries.
    return (tags ?? []).filter((tag) => !tag.startsWith('sha256-'));
  }

  /** @throws without a complete answer, and on one that requests a retry: nothing is acknowledged then */
  async #request(
    place: Place,
    path: string,
    init: NonNullable<Parameters<typeof request>[2]>,
    statuses: number[],
  ) {
    const response = await request(place.host, path, { ...init, signal: AbortSignal.timeout(ANSWER_MS) });
    const bytes = Buffer.from(await response.arrayBuffer());
    const { status, headers } = response;
    if (!statuses.includes(status)) {
      const message = `${place.name} ${init.method ?? 'GET'} ${path}: ${status} ${bytes.toString().slice(0, 300)}`;
      throw status >= 500 || status === 429 || status === 404 ? new Error(message) : new Unexpected(message);
    }
    const digest = headers.get('Docker-Content-Digest') ?? undefined;
    return { status, bytes, digest, location: headers.get('Location') ?? '' };
  }

  #countIdle(): void {
    this.counts.idle += 1;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#randomBelow(list.length)] as T;
  }

  #randomBelow(limit: number): number {
    return Math.floor(this.#next() * limit);
  }
}

/** An answer that no registry may give, even while services are killed. */
class Unexpected extends Error {}

/** Digests of the blobs that a manifest names. */
export const blobsOf = (bytes: Buffer): string[] =>
  parseManifest(bytes, mediaTypes.ociManifest).blobs.map(({ digest }) => digest);
