import { Fault } from '#proto/contract/fault.ts';

/**
 * Decides how the content of a blob is sent after the parent refused one way: in smaller or larger pieces, all of it
 * with the request that ends the upload, or all of it in one piece. Every decision is a step towards the end of the
 * list, and nothing is sent a third time in the same way, so that an upload ends. Pure.
 */

/** `pieces`: several requests. `put`: with the request that ends the upload. `patch`: in one piece before that. */
export type UploadMethod = 'pieces' | 'put' | 'patch';

export type UploadWay = {
  method: UploadMethod;
  /** Min bytes of a piece other than the last one. */
  min: number;
  /** Max bytes of a piece. Does not bound `put` and `patch`, which have one size. */
  max: number;
};

/** What has happened to the blob so far in its present way. */
export type WayAttempts = {
  /** Bytes of the largest piece that the parent took. */
  largest: number;
  /** Max offset that the parent has reached. */
  furthest: number;
  /** Refusals of a piece, in this way. */
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
export type BlobWay = UploadWay & WayAttempts & { isRemembered: boolean };

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
 * `repeat`: the same bytes, in the same session, as `way` has it. `restart`: in a new session. `wait`: as before, after
 * a delay. `give-up`: no way is left; `lasting`: nor will there be, unless the parent changes.
 */
export type NextStep =
  | { step: 'repeat' | 'restart' | 'wait'; way: BlobWay }
  | { step: 'give-up'; way: BlobWay; lasting: boolean };

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

export const firstWay = (method: UploadMethod): BlobWay => ({
  method,
  min: 0,
  max: Number.POSITIVE_INFINITY,
  ...NOTHING_YET,
  isRemembered: method !== 'pieces',
});

/** The way of a blob within what holds for all blobs. Without a size that the parent takes, all is sent at once. */
export function within(way: BlobWay, { min, max }: Omit<UploadWay, 'method'>): BlobWay {
  if (way.method !== 'pieces') return way;
  const bounded = { ...way, min: Math.max(way.min, min), max: Math.min(way.max, max) };
  return bounded.min > bounded.max ? { ...bounded, method: 'put' } : bounded;
}

const NOTHING_YET: WayAttempts = {
  largest: 0,
  furthest: 0,
  refused: 0,
  stuck: 0,
  lost: 0,
  failing: 0,
  broken: 0,
};

/** The way after the parent took a request of `bytes`, and has the blob up to `offset`. */
export const afterTaken = (way: BlobWay, bytes: number, offset: number): BlobWay => ({
  ...way,
  largest: Math.max(way.largest, bytes),
  furthest: Math.max(way.furthest, offset),
  // A parent that forgets what it took, again and again, makes no progress.
  stuck: offset > way.furthest ? 0 : way.stuck,
  failing: 0,
  broken: 0,
});

/** @param size of the blob, in bytes */
export function nextStep(way: BlobWay, failed: FailedRequest, size: number): NextStep {
  switch (failed.kind) {
    case 'too-large':
      return smaller(way, failed);
    case 'refused':
      return way.method === 'pieces' ? refusedPiece(way, failed, size) : another(way, failed);
    case 'lost':
      if (way.method !== 'pieces' || way.lost > 0) return another(way, failed);
      return { step: 'restart', way: { ...way, lost: way.lost + 1 } };
    case 'stuck':
      if (way.stuck > 0) return another(way, failed);
      return { step: 'repeat', way: { ...way, stuck: way.stuck + 1 } };
    case 'rejected':
      return another(way, failed);
    case 'failing':
      return failing({ ...way, failing: way.failing + 1 }, failed);
    case 'broken':
      return broken({ ...way, broken: way.broken + 1 }, failed);
  }
}

function smaller(way: BlobWay, { bytes }: FailedRequest): NextStep {
  if (way.method !== 'pieces' || bytes <= MIN_REQUEST) return giveUp(way);
  const max = Math.max(MIN_REQUEST, Math.floor(bytes / 2));
  const halved = { ...way, max };
  // No piece has a size that the parent takes: the remaining ways have one request.
  return max < way.min ? changed(halved, 'put') : { step: 'repeat', way: halved };
}

function refusedPiece(way: BlobWay, failed: FailedRequest, size: number): NextStep {
  const { status, offset, bytes, isFinal } = failed;
  const isUnsupported = status === 405 || status === 501;
  if (way.refused > 0 || isFinal || isUnsupported) return another(way, failed);
  const refused = way.refused + 1;
  const { largest, min } = way;
  const left = size - offset;
  // The answer asks for more than this.
  if (bytes < min && left > min) return { step: 'repeat', way: { ...way, refused } };
  if (largest > 0 && bytes > largest) {
    const max = Math.max(MIN_REQUEST, largest);
    if (max >= way.min && max < bytes) return { step: 'repeat', way: { ...way, refused, max } };
  }
  if (largest === 0 && bytes < ASSUMED_MIN && left > ASSUMED_MIN && way.max >= ASSUMED_MIN)
    return { step: 'repeat', way: { ...way, refused, min: ASSUMED_MIN } };
  return another(way, failed);
}

function failing(way: BlobWay, { offset }: FailedRequest): NextStep {
  // While a parent has an outage, all of its answers are errors. Only errors to all but the first piece show that it
  // takes no pieces.
  if (way.method === 'pieces' && way.largest > 0 && offset > 0 && way.failing >= MAX_FAILING_LATER)
    return changed(way, 'put');
  const max = way.method === 'pieces' ? MAX_FAILING_PIECES : MAX_FAILING_COMPLETE;
  return way.failing >= max ? { step: 'give-up', way, lasting: false } : { step: 'wait', way };
}

function broken(way: BlobWay, { bytes }: FailedRequest): NextStep {
  if (way.method !== 'pieces') {
    const isLast = way.broken >= MAX_BROKEN_COMPLETE;
    return isLast ? { step: 'give-up', way, lasting: false } : { step: 'wait', way };
  }
  // A proxy may close the connection of a request that is too large, instead of answering it.
  const max = Math.max(MIN_REQUEST, way.min, Math.floor(bytes / 2));
  const isSmaller = way.broken >= MAX_BROKEN_PIECES && max < bytes;
  return { step: 'wait', way: isSmaller ? { ...way, max, broken: 0 } : way };
}

/** The next method. A blob that is sent by one request in pieces has been sent as by `put`. */
function another(way: BlobWay, { offset, isFinal }: FailedRequest): NextStep {
  if (way.method === 'pieces') return changed(way, offset === 0 && isFinal ? 'patch' : 'put');
  return way.method === 'put' ? changed(way, 'patch') : giveUp(way);
}

/** No way is left. If the parent has changed since another blob was sent, pieces may be one again. */
function giveUp(way: BlobWay): NextStep {
  if (way.isRemembered) return changed({ ...way, isRemembered: false }, 'pieces');
  return { step: 'give-up', way, lasting: true };
}

const changed = (way: BlobWay, method: UploadMethod): NextStep => ({
  step: 'restart',
  way: { ...way, ...NOTHING_YET, method },
});

/** Reasons in an error of the parent by which it refuses this layer, this name or this content, however it is sent. */
const FOR_ANY_WAY = ['DENIED', 'UNAUTHORIZED', 'NAME_UNKNOWN', 'NAME_INVALID', 'TOOMANYREQUESTS'];
const FOR_ANY_WAY_STATUS = [401, 402, 403, 407, 451];

/** How a request that carried content has failed; undefined if the way of sending has nothing to do with it. */
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
  if (FOR_ANY_WAY.includes(String(reason)) || FOR_ANY_WAY_STATUS.includes(Number(status))) return undefined;
  return status === 404 || status === 410 ? 'lost' : 'refused';
}
