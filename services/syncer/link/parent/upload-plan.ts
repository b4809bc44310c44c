import { Fault } from '#proto/contract/fault.ts';

/**
 * Decides how the content of a blob is sent after the parent refused one method: in smaller or larger pieces, all of it
 * with the request that ends the upload, or all of it in one piece. Every decision is a step towards the end of the
 * list, and nothing is sent a third time by the same plan, so that an upload ends. Pure.
 */

/** `pieces`: several requests. `put`: with the request that ends the upload. `patch`: in one piece before that. */
export type UploadMethod = 'pieces' | 'put' | 'patch';

export type UploadPlan = {
  method: UploadMethod;
  /** Min bytes of a piece other than the last one. */
  min: number;
  /** Max bytes of a piece. Does not bound `put` and `patch`, which have one size. */
  max: number;
};

/** What has happened to the blob so far by its present plan. */
export type UploadAttempts = {
  /** Bytes of the largest piece that the parent took. */
  largest: number;
  /** Max offset that the parent has reached. */
  furthest: number;
  /** Refusals of a piece, by this plan. */
  refused: number;
  /** Pieces since `furthest` of which the parent took little or nothing, or that made it forget earlier ones. */
  stuck: number;
  /** Sessions that the parent lost although no request broke off. */
  lost: number;
  /** Errors of the parent in a row. */
  failing: number;
  /** Requests in a row that broke off without an answer. */
  broken: number;
};

/** `isRemembered`: the method is the one in which another blob was sent, and the others have not been tried. */
export type BlobPlan = UploadPlan & UploadAttempts & { isRemembered: boolean };

/** A request that failed: `bytes` from `offset` on. `isFinal`: it would have ended the upload. */
export type FailedRequest = {
  kind: FailureKind;
  status: number;
  offset: number;
  bytes: number;
  isFinal: boolean;
};

/**
 * `too-large`: the request has too many bytes. `refused`: the request, as it is. `lost`: the session no longer exists.
 * `stuck`: the parent took little or nothing of it. `rejected`: what the parent assembled is not the blob. `failing`:
 * an error of the parent. `broken`: no answer.
 */
export type FailureKind = 'too-large' | 'refused' | 'lost' | 'stuck' | 'rejected' | 'failing' | 'broken';

/**
 * `repeat`: the same bytes, in the same session, as `plan` has it. `restart`: in a new session. `wait`: as before,
 * after a delay. `give-up`: no method is left; `lasting`: nor will there be, unless the parent changes.
 */
export type NextStep =
  | { step: 'repeat' | 'restart' | 'wait'; plan: BlobPlan }
  | { step: 'give-up'; plan: BlobPlan; lasting: boolean };

/** No request is made smaller than this, in bytes. */
export const MIN_REQUEST = 64 * 1024;
/** Min bytes of a piece that are tried where the parent refuses the first one and names no minimum. */
export const ASSUMED_MIN = 5 * 1024 * 1024;
/** Max bytes of one piece that a parent may ask for. Beyond that, the blob is sent in one request. */
export const MAX_ASKED_PIECE = 64 * 1024 * 1024;

/** Errors in a row to later pieces after which pieces are given up, and to any piece after which the blob is. */
const MAX_FAILING_LATER = 3;
const MAX_FAILING_PIECES = 12;
/** The same for requests that carry all of the blob. */
const MAX_FAILING_COMPLETE = 2;
/** Requests in a row without an answer after which pieces get smaller, and after which one for all is given up. */
const MAX_BROKEN_PIECES = 2;
const MAX_BROKEN_COMPLETE = 6;

export const initialPlan = (method: UploadMethod): BlobPlan => ({
  method,
  min: 0,
  max: Number.POSITIVE_INFINITY,
  ...NOTHING_YET,
  isRemembered: method !== 'pieces',
});

/** The plan of a blob within what holds for all blobs. Without a size that the parent takes, all is sent at once. */
export function boundedBy(plan: BlobPlan, { min, max }: Omit<UploadPlan, 'method'>): BlobPlan {
  if (plan.method !== 'pieces') return plan;
  const bounded = { ...plan, min: Math.max(plan.min, min), max: Math.min(plan.max, max) };
  return bounded.min > bounded.max ? { ...bounded, method: 'put' } : bounded;
}

const NOTHING_YET: UploadAttempts = {
  largest: 0,
  furthest: 0,
  refused: 0,
  stuck: 0,
  lost: 0,
  failing: 0,
  broken: 0,
};

/** The plan after the parent took a request of `bytes`, and has the blob up to `offset`. */
export const afterTaken = (plan: BlobPlan, bytes: number, offset: number): BlobPlan => ({
  ...plan,
  largest: Math.max(plan.largest, bytes),
  furthest: Math.max(plan.furthest, offset),
  // A parent that forgets what it took, again and again, makes no progress.
  stuck: offset > plan.furthest ? 0 : plan.stuck,
  failing: 0,
  broken: 0,
});

/** @param size of the blob, in bytes */
export function nextStep(plan: BlobPlan, failed: FailedRequest, size: number): NextStep {
  switch (failed.kind) {
    case 'too-large':
      return smaller(plan, failed);
    case 'refused':
      return plan.method === 'pieces' ? refusedPiece(plan, failed, size) : another(plan, failed);
    case 'lost':
      if (plan.method !== 'pieces' || plan.lost > 0) return another(plan, failed);
      return { step: 'restart', plan: { ...plan, lost: plan.lost + 1 } };
    case 'stuck':
      if (plan.stuck > 0) return another(plan, failed);
      return { step: 'repeat', plan: { ...plan, stuck: plan.stuck + 1 } };
    case 'rejected':
      return another(plan, failed);
    case 'failing':
      return failing({ ...plan, failing: plan.failing + 1 }, failed);
    case 'broken':
      return broken({ ...plan, broken: plan.broken + 1 }, failed);
  }
}

function smaller(plan: BlobPlan, { bytes }: FailedRequest): NextStep {
  if (plan.method !== 'pieces' || bytes <= MIN_REQUEST) return giveUp(plan);
  const max = Math.max(MIN_REQUEST, Math.floor(bytes / 2));
  const halved = { ...plan, max };
  // No piece has a size that the parent takes: the remaining methods have one request.
  return max < plan.min ? changed(halved, 'put') : { step: 'repeat', plan: halved };
}

function refusedPiece(plan: BlobPlan, failed: FailedRequest, size: number): NextStep {
  const { status, offset, bytes, isFinal } = failed;
  const isUnsupported = status === 405 || status === 501;
  if (plan.refused > 0 || isFinal || isUnsupported) return another(plan, failed);
  const refused = plan.refused + 1;
  const { largest, min } = plan;
  const left = size - offset;
  // The answer asks for more than this.
  if (bytes < min && left > min) return { step: 'repeat', plan: { ...plan, refused } };
  if (largest > 0 && bytes > largest) {
    const max = Math.max(MIN_REQUEST, largest);
    if (max >= plan.min && max < bytes) return { step: 'repeat', plan: { ...plan, refused, max } };
  }
  if (largest === 0 && bytes < ASSUMED_MIN && left > ASSUMED_MIN && plan.max >= ASSUMED_MIN)
    return { step: 'repeat', plan: { ...plan, refused, min: ASSUMED_MIN } };
  return another(plan, failed);
}

function failing(plan: BlobPlan, { offset }: FailedRequest): NextStep {
  // While a parent has an outage, all of its answers are errors. Only errors to all but the first piece show that it
  // takes no pieces.
  if (plan.method === 'pieces' && plan.largest > 0 && offset > 0 && plan.failing >= MAX_FAILING_LATER)
    return changed(plan, 'put');
  const max = plan.method === 'pieces' ? MAX_FAILING_PIECES : MAX_FAILING_COMPLETE;
  return plan.failing >= max ? { step: 'give-up', plan, lasting: false } : { step: 'wait', plan };
}

function broken(plan: BlobPlan, { bytes }: FailedRequest): NextStep {
  if (plan.method !== 'pieces') {
    const isLast = plan.broken >= MAX_BROKEN_COMPLETE;
    return isLast ? { step: 'give-up', plan, lasting: false } : { step: 'wait', plan };
  }
  // A proxy may close the connection of a request that is too large, instead of answering it.
  const max = Math.max(MIN_REQUEST, plan.min, Math.floor(bytes / 2));
  const isSmaller = plan.broken >= MAX_BROKEN_PIECES && max < bytes;
  return { step: 'wait', plan: isSmaller ? { ...plan, max, broken: 0 } : plan };
}

/** The next method. A blob that is sent by one request in pieces has been sent as by `put`. */
function another(plan: BlobPlan, { offset, isFinal }: FailedRequest): NextStep {
  if (plan.method === 'pieces') return changed(plan, offset === 0 && isFinal ? 'patch' : 'put');
  return plan.method === 'put' ? changed(plan, 'patch') : giveUp(plan);
}

/** No plan is left. If the parent has changed since another blob was sent, pieces may be one again. */
function giveUp(plan: BlobPlan): NextStep {
  if (plan.isRemembered) return changed({ ...plan, isRemembered: false }, 'pieces');
  return { step: 'give-up', plan, lasting: true };
}

const changed = (plan: BlobPlan, method: UploadMethod): NextStep => ({
  step: 'restart',
  plan: { ...plan, ...NOTHING_YET, method },
});

/** Reasons in an error of the parent by which it refuses this layer, this name or this content, however it is sent. */
const FOR_ANY_METHOD = ['DENIED', 'UNAUTHORIZED', 'NAME_UNKNOWN', 'NAME_INVALID', 'TOOMANYREQUESTS'];
const FOR_ANY_METHOD_STATUS = [401, 402, 403, 407, 451];

/** How a request that carried content has failed; undefined if the plan has nothing to do with it. */
export function failureKind(error: unknown): FailureKind | undefined {
  // Such as a redirect, which is not followed with content.
  if (Fault.is(error, 'parent-invalid')) return 'refused';
  if (!Fault.is(error, 'upload-unknown', 'parent-refused', 'parent-unreachable')) return undefined;
  const { status, reason, retryAfterMs, stuck, unconfirmed } = error.detail ?? {};
  if (stuck) return 'stuck';
  if (unconfirmed) return 'rejected';
  if (error.code === 'parent-unreachable') {
    if (status === undefined) return 'broken';
    if (status === 501) return 'refused';
    return retryAfterMs === undefined && status !== 408 ? 'failing' : undefined;
  }
  if (status === 413) return 'too-large';
  if (reason === 'DIGEST_INVALID') return 'rejected';
  if (error.code === 'upload-unknown') return status === 400 || status === 416 ? 'refused' : 'lost';
  if (FOR_ANY_METHOD.includes(String(reason)) || FOR_ANY_METHOD_STATUS.includes(Number(status)))
    return undefined;
  return status === 404 || status === 410 ? 'lost' : 'refused';
}
