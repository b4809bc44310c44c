import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
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

/** Time after which the parent is asked again whether it takes what it refused, in ms. */
const REMEMBER_MS = 6 * 60 * 60_000;
/** Max blobs that are remembered. */
const MAX_BLOBS = 1_000;

export type BlobKey = { repository: Repository; digest: Digest; size: number };

type Clock = () => number;
type Remembered<T> = { value: T; until: number };

const nameOf = ({ repository, digest }: BlobKey): string => `${repository} ${digest}`;

/** How the parent takes uploads, as its answers have shown. One for each link, for all passes. */
export class UploadWays {
  /** Whether the parent answers GET for an upload session; undefined: not known yet. */
  hasStatus: boolean | undefined;
  /** The `Range` of the parent's answers to PATCH is not the number of bytes that it has. */
  hasStaleRange = false;
  #noMounts: Remembered<true> | undefined;
  #noAlgorithm: Remembered<true> | undefined;
  #method: Remembered<UploadMethod> | undefined;
  /** Min bytes of a piece that the parent asks for, and that it was found to need. */
  #askedMin: Remembered<number> | undefined;
  #foundMin: Remembered<number> | undefined;
  #max: Remembered<number> | undefined;
  #sha512: Remembered<Fault> | undefined;
  readonly #blobs = new BoundedMap<BlobUpload>(MAX_BLOBS);
  /** Blobs that were sent although the parent reported that it had them. */
  readonly #resent = new BoundedMap<Remembered<true>>(MAX_BLOBS);
  readonly #now: Clock;

  /** @param now a clock that never jumps, in ms */
  constructor(now: Clock = () => performance.now()) {
    this.#now = now;
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
    return this.#current(this.#noMounts) ?? false;
  }

  onMountsRefused(): void {
    this.#noMounts = this.#remember(true);
  }

  /** The parent refuses the query `digest-algorithm`. */
  get refusesAlgorithm(): boolean {
    return this.#current(this.#noAlgorithm) ?? false;
  }

  onAlgorithmRefused(): void {
    this.#noAlgorithm = this.#remember(true);
  }

  /** The way in which uploads begin. */
  get first(): UploadWay {
    return {
      method: this.#current(this.#method) ?? 'pieces',
      min: Math.max(this.#current(this.#askedMin) ?? 0, this.#current(this.#foundMin) ?? 0),
      max: this.#current(this.#max) ?? Number.POSITIVE_INFINITY,
    };
  }

  /** The parent asks for pieces of this size (`OCI-Chunk-Min-Length`), or for none any more. */
  onMinLength(header: string | undefined): void {
    if (header === undefined) this.#askedMin = undefined;
    if (header === undefined || !/^\d{1,15}$/.test(header.trim())) return;
    const min = Number(header);
    if (min > MAX_ASKED_PIECE) this.#method = this.#remember<UploadMethod>('put');
    else this.#askedMin = this.#remember(min);
  }

  /** A request with more than `max` bytes is refused. */
  onTooLarge(max: number): void {
    this.#max = this.#remember(max);
    // The parent has changed: what it was found to need is no longer taken.
    if ((this.#foundMin?.value ?? 0) > max) this.#foundMin = undefined;
  }

  /** A blob was sent in this way. */
  sent(key: BlobKey, { method, refused, min, max }: BlobWay): void {
    this.#blobs.delete(nameOf(key));
    if (method !== 'pieces') this.#method = this.#remember(method);
    else if (refused > 0) {
      this.#foundMin = this.#remember(min);
      this.#max = this.#remember(max);
    }
  }

  onSha512Refused(fault: Fault): void {
    this.#sha512 = this.#remember(fault);
  }

  /** @throws Fault `parent-refused` */
  assertTakes(digest: Digest): void {
    const refusal = digest.startsWith('sha512:') ? this.#current(this.#sha512) : undefined;
    if (refusal) throw refusal;
  }

  /**
   * Records that a blob is sent although the parent reports that it has it.
   * @returns false if it was sent so before
   */
  resend(key: BlobKey): boolean {
    const name = nameOf(key);
    if (this.#current(this.#resent.get(name))) return false;
    this.#resent.set(name, this.#remember(true));
    return true;
  }

  /** Forgets what holds for this and other blobs. */
  forgetRefusal(key: BlobKey): void {
    this.#sha512 = undefined;
    this.#resent.delete(nameOf(key));
  }

  #remember<T>(value: T): Remembered<T> {
    return { value, until: this.#now() + REMEMBER_MS };
  }

  #current<T>(remembered: Remembered<T> | undefined): T | undefined {
    return remembered && this.#now() < remembered.until ? remembered.value : undefined;
  }
}

/** How one blob is sent. */
export class BlobUpload {
  readonly #key: BlobKey;
  readonly #ways: UploadWays;
  readonly #now: Clock;
  #way: BlobWay | undefined;
  #refusal: Remembered<Fault> | undefined;
  /** The session after the last request, if its answer shows how many bytes the parent has. */
  known: UploadSession | undefined;

  constructor(key: BlobKey, ways: UploadWays, now: Clock) {
    this.#key = key;
    this.#ways = ways;
    this.#now = now;
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
    if (this.#refusal && this.#now() < this.#refusal.until) throw this.#refusal.value;
    this.#refusal = undefined;
  }

  /** Forgets a refusal of the blob. */
  retryRefused(): void {
    this.#refusal = undefined;
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
    if (next.lasting) this.#refusal = { value: fault, until: this.#now() + REMEMBER_MS };
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
