import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { check } from '#proto/contract.ts';
import { Fault } from '#proto/fault.ts';
import { type Digest, isDigest, isRepository, isTag, splitDigest } from '#proto/names.ts';
import { Descriptor, MANIFEST_LIMIT, manifestTypes, mediaTypes } from '#proto/oci.ts';
import type { Extent } from '../transfer/extents.ts';
import { backOff, refusal } from './answers.ts';
import { type Answer, type Body, guarded, Link, type LinkOptions, one, PAGE_LIMIT, text } from './link.ts';

/** A manifest as the parent sent it; its digest was checked. */
export type FetchedManifest = { digest: Digest; mediaType: string; bytes: Buffer };

/** The bytes of a blob from `start` on, and whether the parent honoured the range that was asked for. */
export type BlobAnswer = { start: number; ranged: boolean; body: Body };

/** How often something small is asked for before the pass goes on without it. */
const ATTEMPTS = 3;
const ACCEPT = manifestTypes.join(', ');

/**
 * A registry above this layer: any that speaks the OCI distribution-spec. Every failure is a Fault; which of them
 * pass by themselves, `answers.ts` knows.
 */
export class Parent implements AsyncDisposable {
  readonly #link: Link;
  /** Whether it has the referrers API; learned from the first answer. */
  #referrers: boolean | undefined;

  constructor(options: LinkOptions) {
    this.#link = new Link(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link[Symbol.asyncDispose]();
  }

  /** Whether it answers as a registry. @throws Fault */
  async ping(signal: AbortSignal): Promise<void> {
    await patiently(signal, () => this.#ping(signal));
  }

  async #ping(signal: AbortSignal): Promise<void> {
    try {
      const answer = await this.#link.request('/v2/', { scope: 'registry:catalog:*', signal });
      const body = await text(answer);
      if (answer.statusCode !== 200) throw this.#refused(answer, body, 'GET /v2/');
    } catch (error) {
      // 401 is an answer too, the token service's as well: which scope is granted is known only for a repository.
      if (!isStatus(error, 401) && !isStatus(error, 403)) throw error;
    }
  }

  /** distribution-spec, "Listing repositories" (as registries have it: `_catalog`) */
  async *repositories(signal: AbortSignal): AsyncGenerator<string> {
    for await (const page of this.#pages('/v2/_catalog?n=1000', 'registry:catalog:*', signal)) {
      yield* strings(page, 'repositories').filter(isRepository);
    }
  }

  /** @returns undefined where the parent knows no such repository */
  async tags(repository: string, signal: AbortSignal): Promise<string[] | undefined> {
    const tags: string[] = [];
    try {
      for await (const page of this.#pages(`/v2/${repository}/tags/list?n=1000`, pull(repository), signal)) {
        tags.push(...strings(page, 'tags').filter(isTag));
      }
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
    return tags;
  }

  /** The digest that a tag points to; undefined where there is no such tag. */
  async resolve(repository: string, tag: string, signal: AbortSignal): Promise<Digest | undefined> {
    return patiently(signal, () => this.#resolve(repository, tag, signal));
  }

  async #resolve(repository: string, tag: string, signal: AbortSignal): Promise<Digest | undefined> {
    const path = `/v2/${repository}/manifests/${tag}`;
    const ask = { scope: pull(repository), headers: { accept: ACCEPT }, signal };
    const answer = await this.#link.request(path, { ...ask, method: 'HEAD' });
    const body = await text(answer);
    if (answer.statusCode === 404) return undefined;
    if (answer.statusCode !== 200) throw this.#refused(answer, body, `HEAD ${path}`);
    const digest = one(answer.headers['docker-content-digest']);
    if (digest && isDigest(digest)) return digest;
    // Older registries leave the header out: the content tells.
    return (await this.#manifest(repository, tag, signal)).digest;
  }

  /** @throws Fault `manifest-unknown`, `parent-invalid` (the content is not what its digest says) */
  async manifest(repository: string, reference: string, signal: AbortSignal): Promise<FetchedManifest> {
    return patiently(signal, () => this.#manifest(repository, reference, signal));
  }

  async #manifest(repository: string, reference: string, signal: AbortSignal): Promise<FetchedManifest> {
    const path = `/v2/${repository}/manifests/${reference}`;
    const answer = await this.#link.request(path, {
      scope: pull(repository),
      headers: { accept: ACCEPT },
      signal,
    });
    if (answer.statusCode === 404) {
      await text(answer);
      throw new Fault('manifest-unknown', `the parent has no manifest ${reference} in ${repository}`);
    }
    if (answer.statusCode !== 200) throw this.#refused(answer, await text(answer), `GET ${path}`);
    const bytes = await this.#link.read(answer, MANIFEST_LIMIT, `manifest ${reference} of ${repository}`);
    const algorithm = isDigest(reference) ? splitDigest(reference)[0] : 'sha256';
    const digest = `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
    if (isDigest(reference) && digest !== reference) {
      throw new Fault(
        'parent-invalid',
        `the parent sent ${digest} for manifest ${reference} of ${repository}`,
      );
    }
    return {
      digest,
      bytes,
      mediaType: (one(answer.headers['content-type']) ?? '').split(';')[0]?.trim() ?? '',
    };
  }

  /** False once the parent was seen to have no referrers API. */
  get hasReferrers(): boolean {
    return this.#referrers !== false;
  }

  /** Manifests whose subject is `digest`; undefined where the parent has no referrers API. */
  async referrers(
    repository: string,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<Descriptor[] | undefined> {
    if (this.#referrers === false) return undefined;
    const found: Descriptor[] = [];
    try {
      const path = `/v2/${repository}/referrers/${digest}`;
      for await (const page of this.#pages(path, pull(repository), signal)) {
        const listed = (page as { manifests?: unknown }).manifests;
        for (const item of Array.isArray(listed) ? listed : []) found.push(check(Descriptor, item));
      }
    } catch (error) {
      // "No such API", in whatever words: a registry that has it answers an empty list for what it does not know.
      if (![400, 404, 405, 501].some((status) => isStatus(error, status))) throw error;
      this.#referrers = false;
      return undefined;
    }
    this.#referrers = true;
    return found;
  }

  /**
   * Part of a blob (distribution-spec, "Pulling blobs"). A redirect to another host is followed without the
   * Authorization header, and asked for anew each time: signed addresses end.
   * @throws Fault `blob-unknown`, `parent-invalid`, …
   */
  async blob(
    repository: string,
    digest: Digest,
    size: number,
    extent: Extent,
    signal: AbortSignal,
  ): Promise<BlobAnswer> {
    const path = `/v2/${repository}/blobs/${digest}`;
    const range = `bytes=${extent.start}-${extent.end - 1}`;
    const headers = extent.end > extent.start ? { range } : {};
    const answer = await this.#link.request(path, { scope: pull(repository), headers, signal });
    const { statusCode } = answer;
    const body = answer.body as unknown as Body;
    if (statusCode === 200) {
      const length = one(answer.headers['content-length']);
      const page = /^text\/html\b/i.test(one(answer.headers['content-type']) ?? '');
      if (length === undefined ? !page : Number(length) === size) {
        return { start: 0, ranged: false, body: guarded(body) };
      }
      body.destroy();
      // Somebody on the way answers in the parent's place: a portal, a gateway's error page.
      const sent = length === undefined ? 'a page' : `${length} bytes`;
      throw new Fault('parent-unreachable', `GET ${path}: ${sent} came instead of the ${size} of the blob`);
    }
    if (statusCode === 206) {
      const said = one(answer.headers['content-range']) ?? '';
      const [, start, end, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(said) ?? [];
      const good =
        Number(start) === extent.start &&
        Number(end) < extent.end &&
        (total === '*' || Number(total) === size);
      if (good) return { start: extent.start, ranged: true, body: guarded(body) };
      body.destroy();
      throw new Fault(
        'parent-invalid',
        `the parent answered "${said}" when asked for ${range} of ${digest}, which has ${size} bytes`,
      );
    }
    const reason = await text(answer);
    if (statusCode === 404)
      throw new Fault('blob-unknown', `the parent has no blob ${digest} in ${repository}`);
    if (statusCode === 416) {
      throw new Fault(
        'parent-invalid',
        `the parent has no ${range} of ${digest}, which should have ${size} bytes`,
      );
    }
    throw this.#refused(answer, reason, `GET ${path}`);
  }

  async *#pages(first: string, scope: string, signal: AbortSignal): AsyncGenerator<unknown> {
    const seen = new Set<string>();
    let path: string | undefined = first;
    while (path) {
      if (seen.has(path)) throw new Fault('parent-invalid', `GET ${path}: the list has no end`);
      seen.add(path);
      const { page, link } = await patiently(signal, () => this.#page(path as string, scope, signal));
      yield page;
      path = nextPage(link, new URL(path, this.#link.base).href);
    }
  }

  async #page(path: string, scope: string, signal: AbortSignal): Promise<{ page: unknown; link?: string }> {
    const headers = { accept: `${mediaTypes.ociIndex}, application/json` };
    const answer = await this.#link.request(path, { scope, signal, headers });
    if (answer.statusCode !== 200) throw this.#refused(answer, await text(answer), `GET ${path}`);
    const bytes = await this.#link.read(answer, PAGE_LIMIT, path);
    const link = [answer.headers.link ?? []].flat().join(', ');
    try {
      return { page: JSON.parse(bytes.toString('utf8')), ...(link && { link }) };
    } catch (cause) {
      throw new Fault('parent-invalid', `GET ${path}: the parent sent no JSON`, { cause });
    }
  }

  #refused({ statusCode, headers }: Answer, body: string, what: string): Fault {
    return refusal(statusCode, headers, body, what);
  }
}

const pull = (repository: string) => `repository:${repository}:pull`;
const isStatus = (error: unknown, status: number): boolean =>
  error instanceof Fault && error.detail?.status === status;

/** A list that is not there must not pass for an empty one: what it leaves out would go here. */
function strings(page: unknown, field: string): string[] {
  const list = (page as Record<string, unknown> | null)?.[field];
  // Go programs write an empty list as null.
  if (list === null) return [];
  if (!Array.isArray(list)) throw new Fault('parent-invalid', `the parent sent a list without /${field}`);
  return list.filter((item) => typeof item === 'string');
}

/** Asks again, a few times, after a fault that may pass. */
async function patiently<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ask();
    } catch (error) {
      const wait = error instanceof Fault && attempt < ATTEMPTS ? backOff(error, attempt) : undefined;
      if (wait === undefined) throw error;
      await sleep(wait, undefined, { signal });
    }
  }
}

/**
 * RFC 8288: `</v2/_catalog?last=b&n=2>; rel="next"`. Asked of the parent whatever host it names: behind a proxy, a
 * registry may know itself by another name, and a list that ended here would pass for a whole one.
 */
function nextPage(link: string | undefined, current: string): string | undefined {
  const target = /<([^>]*)>\s*;[^,]*rel="?next"?/i.exec(link ?? '')?.[1];
  if (target === undefined) return undefined;
  if (!URL.canParse(target, current)) {
    throw new Fault('parent-invalid', `the parent names no address for the next page: ${target}`);
  }
  const { pathname, search } = new URL(target, current);
  return `${pathname}${search}`;
}
