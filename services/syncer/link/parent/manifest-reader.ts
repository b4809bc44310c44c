import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_MANIFEST_BYTES, manifestTypes } from '#proto/oci/manifest.ts';
import { type Digest, isDigest, type Repository, splitDigest, type Tag } from '#proto/oci/names.ts';
import type { RepositoryNames } from '#proto/oci/repository-names.ts';
import { refusedAnswer } from '../answers/answers.ts';
import { firstValue, readErrorBody } from '../answers/bodies.ts';
import { readContent } from '../answers/manifest-answer.ts';
import { withRetries } from '../answers/retry.ts';
import { ExpiringValue } from '../http/expiring-value.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { manifestPath } from '../http/repository-paths.ts';
import { pullScope } from '../login/token-scopes.ts';
import type { FetchedManifest, ManifestSource } from './parent-reader.ts';

const ACCEPT = manifestTypes.join(', ');

/** Algorithm of digests by which registries store manifests. */
const USUAL = 'sha256';
const isUsual = (digest: Digest): boolean => splitDigest(digest)[0] === USUAL;
/** Max digests of other algorithms, and max tags, that are remembered. */
const MAX_ADDRESSES = 10_000;
const MAX_MISSING = 10_000;

/** Max repositories with wrong digests that are remembered. */
const MAX_WRONG_DIGESTS = 1_000;

/** Statuses of answers with content: a proxy may mark it as changed, and the digest decides whether it is. */
const CONTENT = [200, 203, 206];

/** Statuses with which a registry answers HEAD if it supports only GET. */
const NO_HEAD = [400, 403, 405, 406, 415, 500, 501];

/** Reads manifests (distribution-spec, "Pulling manifests"), and what tags point to. */
export class ManifestReader implements ManifestSource {
  readonly #link: ParentLink;
  readonly #names: RepositoryNames;
  /** Whether the parent has answered a HEAD of a manifest; until then, only its answer to a GET counts. */
  readonly #answersHead: ExpiringValue<true>;
  /** Tags that HEAD reports as missing. `true`: GET has found them since, and is the one that is asked. */
  readonly #missing = new BoundedMap<ExpiringValue<boolean>>(MAX_MISSING);
  /** Whether the parent has a manifest under a digest of another algorithm than the usual one. */
  readonly #addresses = new BoundedMap<ExpiringValue<boolean>>(MAX_ADDRESSES);
  /** Repositories whose digests in headers were wrong: there, the content is hashed. */
  readonly #wrongDigests = new BoundedMap<ExpiringValue<boolean>>(MAX_WRONG_DIGESTS);

  constructor(link: ParentLink, names: RepositoryNames) {
    this.#link = link;
    this.#names = names;
    this.#answersHead = new ExpiringValue(link.now);
  }

  async resolve(repository: Repository, tag: Tag, signal: AbortSignal): Promise<Digest | undefined> {
    return withRetries(signal, () => this.#resolve(repository, tag, signal));
  }

  async #resolve(repository: Repository, tag: Tag, signal: AbortSignal): Promise<Digest | undefined> {
    const digest = await this.#announced(repository, tag, signal);
    if (digest === undefined || isUsual(digest)) return digest;
    if (await this.#isAddress(repository, digest, signal)) return digest;
    return (await this.#fetch(repository, tag, signal, USUAL)).digest;
  }

  /** Whether the parent has a manifest under this digest: one of another algorithm may stand in headers only. */
  async #isAddress(repository: Repository, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const key = `${repository}@${digest}`;
    const known = this.#addresses.get(key)?.get();
    if (known !== undefined) return known;
    const isAddress = await this.#fetch(repository, digest, signal).then(
      () => true,
      (error) => {
        if (!Fault.is(error, 'manifest-unknown', 'parent-refused', 'parent-invalid')) throw error;
        return false;
      },
    );
    this.#note(this.#addresses, key, isAddress);
    return isAddress;
  }

  #note(map: BoundedMap<ExpiringValue<boolean>>, key: string, value: boolean): void {
    const remembered = new ExpiringValue<boolean>(this.#link.now);
    remembered.set(value);
    map.set(key, remembered);
  }

  /** @returns the digest that the parent announces, or that of the content if it announces none */
  async #announced(repository: Repository, tag: Tag, signal: AbortSignal): Promise<Digest | undefined> {
    const onlyGet =
      this.#wrongDigests.get(repository)?.get() || this.#missing.get(`${repository}:${tag}`)?.get();
    if (!onlyGet) {
      const head = await this.#head(repository, tag, signal);
      if (head !== 'unknown') return head;
    }
    // Older registries omit the header, or do not answer HEAD: the content has to be hashed.
    try {
      return (await this.#fetch(repository, tag, signal)).digest;
    } catch (error) {
      if (Fault.is(error, 'manifest-unknown')) return undefined;
      throw error;
    }
  }

  /** @returns `unknown` if only the content can tell */
  async #head(
    repository: Repository,
    tag: Tag,
    signal: AbortSignal,
  ): Promise<Digest | undefined | 'unknown'> {
    const name = this.#names.above(repository);
    const path = manifestPath(name, tag);
    const ask = { scope: pullScope(name), headers: { accept: ACCEPT }, signal };
    const answer = await this.#link.request(path, { ...ask, method: 'HEAD' });
    const body = await readErrorBody(answer);
    const { statusCode } = answer;
    if (statusCode === 404) {
      this.#note(this.#missing, `${repository}:${tag}`, false);
      return this.#answersHead.get() ? undefined : 'unknown';
    }
    if (NO_HEAD.includes(statusCode)) return 'unknown';
    if (statusCode > 200 && statusCode < 300) return 'unknown';
    if (statusCode !== 200) throw refusedAnswer(answer, body, `HEAD ${path}`);
    this.#answersHead.set(true);
    const digest = firstValue(answer.headers['docker-content-digest'])?.trim();
    return digest && isDigest(digest) ? digest : 'unknown';
  }

  async manifest(
    repository: Repository,
    reference: Tag | Digest,
    signal: AbortSignal,
  ): Promise<FetchedManifest> {
    return withRetries(signal, () => this.#fetch(repository, reference, signal));
  }

  async taggedManifest(
    repository: Repository,
    tag: Tag,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<FetchedManifest> {
    const [algorithm] = splitDigest(digest);
    const fetched = await withRetries(signal, () => this.#fetch(repository, tag, signal, algorithm));
    if (fetched.digest === digest) return fetched;
    this.#note(this.#wrongDigests, repository, true);
    const why = `the parent announced ${digest} for ${this.#names.above(repository)}:${tag}, and sent ${fetched.digest}`;
    throw new Fault('conflict', `${why}: the next pass reads the tag again`);
  }

  /** @param algorithm of the digest of a tag's manifest; by default that which the parent announces */
  async #fetch(
    repository: Repository,
    reference: Tag | Digest,
    signal: AbortSignal,
    algorithm?: string,
  ): Promise<FetchedManifest> {
    const name = this.#names.above(repository);
    const path = manifestPath(name, reference);
    const answer = await this.#link.request(path, {
      scope: pullScope(name),
      headers: { accept: ACCEPT },
      signal,
    });
    if (answer.statusCode === 404) {
      const leftOut = leftOutIn(await readErrorBody(answer));
      const why = `the parent has no manifest ${reference} in ${name}`;
      throw new Fault('manifest-unknown', why, leftOut ? { detail: leftOut } : {});
    }
    if (!CONTENT.includes(answer.statusCode))
      throw refusedAnswer(answer, await readErrorBody(answer), `GET ${path}`);
    const key = `${repository}:${reference}`;
    if (this.#missing.get(key)) this.#note(this.#missing, key, true);
    const bytes = await this.#link.read(answer, MAX_MANIFEST_BYTES, `manifest ${reference} of ${name}`);
    return readContent(bytes, answer.headers, { repository: name, reference, algorithm });
  }
}

/** What the error body of a Terrace says about a child manifest that is left out of a sparse index there. */
function leftOutIn(body: string): { leftOut: string; unavailable?: true } | undefined {
  try {
    const { errors } = JSON.parse(body) as { errors?: { detail?: Record<string, unknown> }[] };
    const { leftOut, unavailable } = errors?.[0]?.detail ?? {};
    if (typeof leftOut !== 'string') return undefined;
    return { leftOut, ...(unavailable === true && { unavailable }) };
  } catch {
    return undefined;
  }
}
