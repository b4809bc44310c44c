import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { RepositoryNames } from '#proto/oci/repository-names.ts';
import { refusal } from '../answers/answers.ts';
import { type Asked, type BlobAnswer, blobAnswer } from '../answers/blob-answer.ts';
import { type Answer, firstValue, readErrorBody } from '../answers/bodies.ts';
import { type BlobRanges, blobRanges, rangesHeader } from '../answers/byte-ranges.ts';
import { EncodedBodies } from '../answers/encoded-body.ts';
import type { Extent } from '../answers/extents.ts';
import { isStatus } from '../answers/retry.ts';
import type { ParentLink, RequestOptions } from '../http/parent-link.ts';
import { blobPath } from '../http/repository-paths.ts';
import { pullScope } from '../login/token-scopes.ts';
import { BlobAddresses } from './blob-addresses.ts';

/** Statuses with which an expired signed URL is answered. */
const EXPIRED = [400, 401, 403, 404, 410];

/** Max blobs for which a wrong guess about their encoding is remembered. */
const MAX_BLOBS = 1_000;
/** Statuses with which a server without ranges may answer a request for one. */
const NO_RANGES = [400, 405, 416, 501];

/** How long a parent that sends one part at a time is not asked for several, in ms. */
const RECHECK_RANGES_MS = 6 * 60 * 60_000;

/** Max multiple of the bytes that were asked for in several parts, in one that covers them. */
const MAX_COVERING = 2;

const bytesOf = (extents: readonly Extent[]): number =>
  extents.reduce((sum, { start, end }) => sum + end - start, 0);

/** Statuses with which a server or a firewall may refuse many ranges: it is asked for one part before that counts. */
const REFUSED_RANGES = [400, 403, 406, 410, 413, 414, 431];

/** A part of a blob of a repository of this layer. */
type BlobPart = Omit<Asked, 'repository'> & { repository: Repository };

/** Reads parts of blobs at the parent, and at the hosts to which it redirects. */
export class BlobReader {
  readonly #link: ParentLink;
  readonly #names: RepositoryNames;
  readonly #addresses = new BlobAddresses();
  readonly #encoded = new EncodedBodies(new BoundedMap(MAX_BLOBS));
  /** Until then, the parent is asked for one part at a time. */
  #singleUntil = Number.NEGATIVE_INFINITY;
  /** The last blob came from another host. */
  #wasElsewhere = false;

  constructor(link: ParentLink, names: RepositoryNames) {
    this.#link = link;
    this.#names = names;
  }

  /** See `BlobSizes`. */
  async size(repository: Repository, digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    const name = this.#names.above(repository);
    const path = blobPath(name, digest);
    // A signed URL of another host may accept GET only: one byte of content says the size as well.
    const ask = { scope: pullScope(name), signal, redirects: 'follow' as const };
    const answer = await this.#link.request(path, {
      ...ask,
      headers: { 'accept-encoding': 'identity', range: 'bytes=0-0' },
    });
    const { statusCode, headers } = answer;
    answer.body.destroy();
    const text =
      statusCode === 200 && headers['content-encoding'] === undefined
        ? firstValue(headers['content-length'])
        : /^bytes (?:\d+-\d+|\*)\/(\d+)$/.exec(firstValue(headers['content-range']) ?? '')?.[1];
    const size = Number(text);
    return [200, 206, 416].includes(statusCode) && text !== undefined && Number.isSafeInteger(size)
      ? size
      : undefined;
  }

  /** See `BlobSource`. Other hosts may differ from blob to blob: for them, nothing is opened before. */
  prepareConnections(count: number): void {
    if (!this.#wasElsewhere) this.#link.prepareConnections(count);
  }

  /**
   * Part of a blob (distribution-spec, "Pulling blobs"). A redirect to another host is followed without the
   * Authorization header. That address is used for the other parts, too, until it is refused: signed URLs expire. The
   * caller takes the bandwidth.
   * @throws Fault `blob-unknown`, `parent-invalid`, …
   */
  async part(part: BlobPart, signal: AbortSignal): Promise<BlobAnswer> {
    const { extent, repository } = part;
    const asked: Asked = { ...part, repository: this.#names.above(repository) };
    const range = extent.end > extent.start ? rangesHeader([extent]) : undefined;
    const read = (answer: Answer) => blobAnswer(answer, asked, this.#encoded);
    return this.#ask(asked, { range, mayAskForAll: true, signal }, read);
  }

  /**
   * Several parts of a blob, of which there are `MAX_RANGES` at most, with one request; as `part`.
   * @returns undefined if the parent sends one part at a time, or is known to
   */
  async parts(
    { repository, digest, size }: Omit<BlobPart, 'extent'>,
    extents: readonly Extent[],
    signal: AbortSignal,
  ): Promise<BlobRanges | undefined> {
    if (performance.now() < this.#singleUntil) return undefined;
    const extent = { start: 0, end: size };
    const asked: Asked = { digest, size, extent, repository: this.#names.above(repository) };
    const read = async (answer: Answer) => {
      const ranges = blobRanges(answer, digest, size);
      if (ranges && !ranges.one) return ranges;
      this.#sendsOne();
      if (ranges?.one && bytesOf([ranges.one]) <= MAX_COVERING * bytesOf(extents)) return ranges;
      // An answer with too much or all of the blob, or with an error that a request for one part may not have.
      if (answer.statusCode < 300 || NO_RANGES.includes(answer.statusCode)) answer.body.destroy();
      else await blobAnswer(answer, asked);
      return undefined;
    };
    try {
      return await this.#ask(asked, { range: rangesHeader(extents), mayAskForAll: false, signal }, read);
    } catch (error) {
      if (!isStatus(error, ...REFUSED_RANGES)) throw error;
      this.#sendsOne();
      return undefined;
    }
  }

  #sendsOne(): void {
    this.#singleUntil = performance.now() + RECHECK_RANGES_MS;
  }

  /**
   * Sends a request for parts of a blob.
   * @param mayAskForAll whether to ask for all of the blob if the parent refuses to send a part of it
   * @param read reads the answer of the registry, or of the host to which it redirects
   */
  async #ask<T>(
    { repository: name, digest }: Asked,
    {
      range,
      mayAskForAll,
      signal,
    }: { range: string | undefined; mayAskForAll: boolean; signal: AbortSignal },
    read: (answer: Answer) => Promise<T>,
  ): Promise<T> {
    const ask: RequestOptions = {
      scope: pullScope(name),
      headers: { 'accept-encoding': 'identity', ...(range && { range }) },
      signal,
      bandwidthTaken: true,
      redirects: 'follow',
    };
    const known = this.#addresses.get(name, digest);
    const found = known && (await this.#at(known, ask, { repository: name, digest, read }));
    if (found) return found.read;
    for (let isRetry = false; ; isRetry = true) {
      const answer = await this.#request(blobPath(name, digest), ask, mayAskForAll);
      if (!this.#isExpired(answer)) {
        const bytes = await read(answer);
        this.#wasElsewhere = this.#isElsewhere(answer);
        if (this.#wasElsewhere) this.#addresses.served(name, digest, answer.from);
        return bytes;
      }
      const body = await readErrorBody(answer);
      // Only the registry knows whether it has the blob: it is asked for another URL, at once and then with backoff.
      if (isRetry) {
        const what = `GET ${answer.from.origin}`;
        const { message, detail } = refusal(answer.statusCode, answer.headers, body, what);
        throw new Fault('parent-unreachable', message, { detail: { ...detail } });
      }
    }
  }

  #isElsewhere({ from }: Answer): boolean {
    return from.origin !== this.#link.base.origin;
  }

  /** Whether it may be the answer to an expired signed URL. */
  #isExpired(answer: Answer): boolean {
    return this.#isElsewhere(answer) && EXPIRED.includes(answer.statusCode);
  }

  /** Asks for the whole blob if the parent refuses to send a part of it. */
  async #request(path: string, ask: RequestOptions, mayAskForAll: boolean): Promise<Answer> {
    const answer = await this.#link.request(path, ask);
    const { range, ...headers } = ask.headers ?? {};
    if (
      !mayAskForAll ||
      range === undefined ||
      !NO_RANGES.includes(answer.statusCode) ||
      this.#isExpired(answer)
    )
      return answer;
    await answer.body.dump();
    return this.#link.request(path, { ...ask, headers });
  }

  /** See `BlobSource`. */
  invalidate(repository: Repository, digest: Digest): void {
    this.#addresses.forget(this.#names.above(repository), digest);
  }

  /** Part of a blob at an address that served another one; undefined if the address is of no use any more. */
  async #at<T>(
    url: URL,
    ask: RequestOptions,
    {
      repository,
      digest,
      read,
    }: Pick<Asked, 'repository' | 'digest'> & { read: (answer: Answer) => Promise<T> },
  ): Promise<{ read: T } | undefined> {
    try {
      const answer = await this.#link.requestAt(url, ask);
      if (!EXPIRED.includes(answer.statusCode)) return { read: await read(answer) };
      await readErrorBody(answer);
    } catch (error) {
      this.#addresses.forget(repository, digest);
      if (!Fault.is(error, 'parent-invalid')) throw error;
      return undefined;
    }
    this.#addresses.forget(repository, digest);
    return undefined;
  }
}
