import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { ExpiringValue } from '../http/expiring-value.ts';
import type { UploadSession } from './session.ts';
import {
  afterTaken,
  type BlobWay,
  type FailedRequest,
  failureKind,
  firstWay,
  MAX_ASKED_PIECE,
  MIN_REQUEST,
  nextStep,
  type UploadMethod,
  type UploadWay,
  within,
} from './upload-way.ts';

/** Max blobs that are remembered. */
const MAX_BLOBS = 1_000;

export type BlobKey = { repository: Repository; digest: Digest; size: number };

type Clock = () => number;

const nameOf = ({ repository, digest }: BlobKey): string => `${repository} ${digest}`;

/**
 * How the parent takes uploads, as its answers have shown. One for each link, for all passes. Everything is forgotten
 * after `REMEMBER_MS`.
 */
export class UploadWays {
  readonly #status: ExpiringValue<boolean>;
  readonly #staleRange: ExpiringValue<true>;
  readonly #noMounts: ExpiringValue<true>;
  readonly #noAlgorithm: ExpiringValue<true>;
  readonly #method: ExpiringValue<UploadMethod>;
  /** Min bytes of a piece that the parent asks for, and that it was found to need. */
  readonly #askedMin: ExpiringValue<number>;
  readonly #foundMin: ExpiringValue<number>;
  readonly #max: ExpiringValue<number>;
  readonly #sha512: ExpiringValue<Fault>;
  readonly #blobs = new BoundedMap<BlobUpload>(MAX_BLOBS);
  /** Blobs that were sent although the parent reported that it had them. */
  readonly #resent = new BoundedMap<ExpiringValue<true>>(MAX_BLOBS);
  readonly #now: Clock;

  /** @param now a clock that never jumps, in ms */
  constructor(now: Clock = () => performance.now()) {
    this.#now = now;
    this.#status = new ExpiringValue(now);
    this.#staleRange = new ExpiringValue(now);
    this.#noMounts = new ExpiringValue(now);
    this.#noAlgorithm = new ExpiringValue(now);
    this.#method = new ExpiringValue(now);
    this.#askedMin = new ExpiringValue(now);
    this.#foundMin = new ExpiringValue(now);
    this.#max = new ExpiringValue(now);
    this.#sha512 = new ExpiringValue(now);
  }

  /** Whether the parent answers GET for an upload session; undefined: not known. */
  get hasStatus(): boolean | undefined {
    return this.#status.get();
  }

  onStatus(isAnswered: boolean): void {
    this.#status.set(isAnswered);
  }

  /** The `Range` of the parent's answers to PATCH is not the number of bytes that it has. */
  get hasStaleRange(): boolean {
    return this.#staleRange.get() ?? false;
  }

  onStaleRange(): void {
    this.#staleRange.set(true);
  }

  /** The way of a blob, which is remembered until the blob is sent. */
  blob(key: BlobKey): BlobUpload {
    const name = nameOf(key);
    const known = this.#blobs.get(name) ?? new BlobUpload(key, this, this.#now);
    this.#blobs.set(name, known);
    return known;
  }

  /** The parent mounts from no repository. */
  get refusesMounts(): boolean {
    return this.#noMounts.get() ?? false;
  }

  onMountsRefused(): void {
    this.#noMounts.set(true);
  }

  /** The parent refuses the query `digest-algorithm`. */
  get refusesAlgorithm(): boolean {
    return this.#noAlgorithm.get() ?? false;
  }

  onAlgorithmRefused(): void {
    this.#noAlgorithm.set(true);
  }

  /** The way in which uploads begin. */
  get first(): UploadWay {
    return {
      method: this.#method.get() ?? 'pieces',
      min: Math.max(this.#askedMin.get() ?? 0, this.#foundMin.get() ?? 0),
      max: this.#max.get() ?? Number.POSITIVE_INFINITY,
    };
  }

  /** The parent asks for pieces of this size (`OCI-Chunk-Min-Length`), or for none any more. */
  onMinLength(header: string | undefined): void {
    if (header === undefined) this.#askedMin.set(undefined);
    if (header === undefined || !/^\d{1,15}$/.test(header.trim())) return;
    const min = Number(header);
    if (min > MAX_ASKED_PIECE) this.#method.set('put');
    else this.#askedMin.set(min);
  }

  /** A request with more than `max` bytes is refused. */
  onTooLarge(max: number): void {
    this.#max.set(max);
    // The parent has changed: what it was found to need is no longer taken.
    if ((this.#foundMin.get() ?? 0) > max) this.#foundMin.set(undefined);
  }

  /** A blob was sent in this way. */
  sent(key: BlobKey, { method, refused, min, max }: BlobWay): void {
    this.#blobs.delete(nameOf(key));
    if (method !== 'pieces') this.#method.set(method);
    else if (refused > 0) {
      this.#foundMin.set(min);
      this.#max.set(max);
    }
  }

  onSha512Refused(fault: Fault): void {
    this.#sha512.set(fault);
  }

  /** @throws Fault `parent-refused` */
  assertTakes(digest: Digest): void {
    const refusal = digest.startsWith('sha512:') ? this.#sha512.get() : undefined;
    if (refusal) throw refusal;
  }

  /**
   * Records that a blob is sent although the parent reports that it has it.
   * @returns false if it was sent so before
   */
  resend(key: BlobKey): boolean {
    const name = nameOf(key);
    if (this.#resent.get(name)?.get()) return false;
    const resent = new ExpiringValue<true>(this.#now);
    resent.set(true);
    this.#resent.set(name, resent);
    return true;
  }

  /** Forgets what holds for this and other blobs. */
  forgetRefusal(key: BlobKey): void {
    this.#sha512.set(undefined);
    this.#resent.delete(nameOf(key));
  }
}

/** How one blob is sent. */
export class BlobUpload {
  readonly #key: BlobKey;
  readonly #ways: UploadWays;
  readonly #refusal: ExpiringValue<Fault>;
  #way: BlobWay | undefined;
  /** The session after the last request, if its answer shows how many bytes the parent has. */
  known: UploadSession | undefined;

  constructor(key: BlobKey, ways: UploadWays, now: Clock) {
    this.#key = key;
    this.#ways = ways;
    this.#refusal = new ExpiringValue(now);
  }

  get way(): BlobWay {
    return within(this.#own, this.#ways.first);
  }

  get #own(): BlobWay {
    return this.#way ?? firstWay(this.#ways.first.method);
  }

  /** @throws Fault `parent-refused` if the parent refused the blob in every way */
  assertWanted(): void {
    this.#ways.assertTakes(this.#key.digest);
    const refusal = this.#refusal.get();
    if (refusal) throw refusal;
  }

  /** Forgets a refusal of the blob. */
  retryRefused(): void {
    this.#refusal.set(undefined);
    this.#ways.forgetRefusal(this.#key);
  }

  /** The parent took a request of `bytes`, and has the blob up to `offset`. */
  taken(bytes: number, offset: number): void {
    this.#way = afterTaken(this.#own, bytes, offset);
  }

  sent(): void {
    this.#ways.sent(this.#key, this.way);
  }

  /**
   * Decides what follows a failed request.
   * @returns `repeat` in the same session, or `restart` in a new one
   * @throws the error, if the way of sending has nothing to do with it or a later attempt may succeed; Fault
   * `parent-refused` if no way is left
   */
  failed(error: unknown, request: Omit<FailedRequest, 'kind' | 'status'>): 'repeat' | 'restart' {
    const kind = failureKind(error);
    if (!kind || !(error instanceof Fault)) throw error;
    const status = Number(error.detail?.status);
    const { digest, size } = this.#key;
    if (digest.startsWith('sha512:') && request.isFinal && (kind === 'refused' || kind === 'rejected')) {
      const fault = refusedSha512(error);
      this.#ways.onSha512Refused(fault);
      throw fault;
    }
    if (kind === 'too-large' && this.way.method === 'pieces' && request.bytes > MIN_REQUEST)
      this.#ways.onTooLarge(Math.max(MIN_REQUEST, Math.floor(request.bytes / 2)));
    const before = this.way;
    const next = nextStep(before, { ...request, kind, status }, size);
    this.#way = next.way;
    if (next.step === 'wait') throw error;
    if (next.step !== 'give-up') return next.step;
    const fault = givenUp(this.#key, before, kind, request, error);
    this.#way = undefined;
    if (next.lasting) this.#refusal.set(fault);
    throw fault;
  }
}

/** The Fault for a refusal of content with a sha512 digest. */
export const refusedSha512 = (cause: Fault): Fault =>
  new Fault(
    'parent-refused',
    `${cause.message}: the parent may take no sha512 digests; push the image with sha256 digests`,
    { cause, detail: { ...cause.detail } },
  );

function givenUp(
  { digest }: BlobKey,
  { method, min }: BlobWay,
  kind: FailedRequest['kind'],
  { bytes }: Pick<FailedRequest, 'bytes'>,
  cause: Fault,
): Fault {
  const limit = method === 'pieces' ? '' : min > 0 ? `, and no pieces below ${min} bytes` : ', and no pieces';
  const remedies: Record<FailedRequest['kind'], string> = {
    'too-large': `no request of ${bytes} bytes is taken${limit}: raise the limit for request bodies at the parent, or at the proxy before it`,
    refused: 'no other way of sending is left: see the log of the parent',
    lost: 'no other way of sending is left, as its upload sessions vanish: see the log of the parent',
    stuck: 'no other way of sending is left: see the log of the parent',
    rejected:
      'in every way of sending, what the parent stored is not what was sent: see the log of the parent',
    failing: 'it has failed repeatedly: see the log of the parent',
    broken: `the parent takes the blob only in one request of ${bytes} bytes, which breaks off: use a better link, or push the image to the parent directly`,
  };
  return new Fault('parent-refused', `${cause.message}; ${digest}: ${remedies[kind]}`, {
    cause,
    detail: { ...cause.detail },
  });
}
