import { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import { ExpiringValue } from '../http/expiring-value.ts';
import { type BlobKey, BlobUploadState } from './blob-upload-state.ts';
import { type BlobPlan, MAX_ASKED_PIECE, type UploadMethod, type UploadPlan } from './upload-plan.ts';

/** Max blobs that are remembered. */
const MAX_BLOBS = 1_000;

type Clock = () => number;

const nameOf = ({ repository, digest }: BlobKey): string => `${repository} ${digest}`;

/**
 * How the parent takes uploads, as its answers have shown. One for each link, for all passes. Everything is forgotten
 * after `REMEMBER_MS`.
 */
export class UploadCapabilities {
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
  readonly #blobs = new BoundedMap<BlobUploadState>(MAX_BLOBS);
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

  /** The state of a blob's upload, which is remembered until the blob is sent. */
  blob(key: BlobKey): BlobUploadState {
    const name = nameOf(key);
    const known = this.#blobs.get(name) ?? new BlobUploadState(key, this, this.#now);
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

  /** How uploads begin. */
  get first(): UploadPlan {
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

  /** A blob was sent by this plan. */
  onCompleted(key: BlobKey, { method, refused, min, max }: BlobPlan): void {
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
