import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { ExpiringValue } from '../http/expiring-value.ts';
import type { UploadSession } from './session.ts';
import {
  afterTaken,
  type BlobPlan,
  boundedBy,
  type FailedRequest,
  type FailureKind,
  failureKind,
  initialPlan,
  MIN_REQUEST,
  nextStep,
  type UploadPlan,
} from './upload-plan.ts';

/** Failures that a wrong offset may cause. */
const OF_OFFSET: readonly FailureKind[] = ['refused', 'lost', 'stuck', 'rejected'];

export type BlobKey = { repository: Repository; digest: Digest; size: number };

/** What holds for all blobs. */
interface SharedState {
  /** How uploads begin. */
  readonly first: UploadPlan;
  /** @throws Fault `parent-refused` */
  assertTakes(digest: Digest): void;
  onTooLarge(max: number): void;
  onSha512Refused(fault: Fault): void;
  onCompleted(key: BlobKey, plan: BlobPlan): void;
  forgetRefusal(key: BlobKey): void;
}

/** The state of the upload of one blob. */
export class BlobUploadState {
  readonly #key: BlobKey;
  readonly #shared: SharedState;
  readonly #refusal: ExpiringValue<Fault>;
  #plan: BlobPlan | undefined;
  /** The session after the last request, if its answer shows how many bytes the parent has. */
  session: UploadSession | undefined;
  /** A request of this process has carried bytes: only `session` says what the parent has. */
  hasSent = false;
  /** The session began at the offset of an earlier process, and the parent does not report its own. */
  isOffsetAssumed = false;

  constructor(key: BlobKey, shared: SharedState, now: () => number) {
    this.#key = key;
    this.#shared = shared;
    this.#refusal = new ExpiringValue(now);
  }

  get plan(): BlobPlan {
    return boundedBy(this.#own, this.#shared.first);
  }

  get #own(): BlobPlan {
    return this.#plan ?? initialPlan(this.#shared.first.method);
  }

  /** @throws Fault `parent-refused` if the parent refused the blob by every method */
  assertWanted(): void {
    this.#shared.assertTakes(this.#key.digest);
    const refusal = this.#refusal.get();
    if (refusal) throw refusal;
  }

  /** Forgets a refusal of the blob. */
  retryRefused(): void {
    this.#refusal.set(undefined);
    this.#shared.forgetRefusal(this.#key);
  }

  /** The parent took a request of `bytes`, and has the blob up to `offset`. */
  taken(bytes: number, offset: number): void {
    this.#plan = afterTaken(this.#own, bytes, offset);
  }

  /** The parent has the blob. */
  completed(): void {
    this.#shared.onCompleted(this.#key, this.plan);
  }

  /**
   * Decides what follows a failed request.
   * @returns `repeat` in the same session, or `restart` in a new one
   * @throws the error, if the plan has nothing to do with it or a later attempt may succeed; Fault
   * `parent-refused` if no method is left
   */
  failed(error: unknown, request: Omit<FailedRequest, 'kind' | 'status'>): 'repeat' | 'restart' {
    const kind = failureKind(error);
    if (!kind || !(error instanceof Fault)) throw error;
    // This says nothing about the plan: the parent may have more bytes than the earlier process knew.
    if (this.isOffsetAssumed && OF_OFFSET.includes(kind)) {
      this.isOffsetAssumed = false;
      return 'restart';
    }
    const status = Number(error.detail?.status);
    const { digest, size } = this.#key;
    if (digest.startsWith('sha512:') && request.isFinal && (kind === 'refused' || kind === 'rejected')) {
      const fault = refusedSha512(error);
      this.#shared.onSha512Refused(fault);
      throw fault;
    }
    if (kind === 'too-large' && this.plan.method === 'pieces' && request.bytes > MIN_REQUEST)
      this.#shared.onTooLarge(Math.max(MIN_REQUEST, Math.floor(request.bytes / 2)));
    const before = this.plan;
    const next = nextStep(before, { ...request, kind, status }, size);
    this.#plan = next.plan;
    if (next.step === 'wait') throw error;
    if (next.step !== 'give-up') return next.step;
    const fault = givenUp(this.#key, before, kind, request, error);
    this.#plan = undefined;
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
  { method, min }: BlobPlan,
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
