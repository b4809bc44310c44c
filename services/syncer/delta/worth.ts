import { type DeltaMode, MIN_DELTA_TARGET_BYTES } from '#proto/content/deltas.ts';

/**
 * Whether content crosses the link sooner as a delta. Pure. `always` saves bytes, at any price in time up to
 * `delta.time`; `auto` saves time, and relies on what `delta-pace.ts` has measured.
 */

/** What is known of the link, of this layer and of its parent. Rates are bytes/s; those of deltas are of targets. */
export type Pace = {
  /** Of the link, on the way down; undefined: it is unknown. */
  link: number | undefined;
  roundTripMs: number;
  /** With one processor to itself. */
  applying: number;
  /** At the parent. */
  making: number;
  /** Processes that are ready to run, for each processor of this machine. */
  load: number;
};

/** Share of the target that a delta is expected to have, in a question, and while it is being made. */
const HOPED_SHARE = 0.1;
const EXPECTED_SHARE = 0.25;
/** A delta has to be expected within this share of the time of the blob: predictions are inexact. */
const MAX_TIME_SHARE = 0.9;
/**
 * No delta that is being made is waited for longer than this multiple of what it should take, and the time in which
 * another syncer takes up the job of one that was killed.
 */
const MAX_OVERDUE = 1.5;
const TAKEOVER_MS = 10_000;
/** Share of the time of the blobs that a wait in vain may cost. */
const MAX_LOSS = 0.03;
/** Min time that a question can wait, in ms. */
const MIN_WAIT_MS = 1_000;
/** Processor time until the process that applies a delta begins with it, in ms. */
export const START_MS = 250;

/** Min time in which the parent may apply a pushed delta, in ms, and the time if that of the blob is unknown. */
const MIN_APPLY_MS = 5_000;
const UNKNOWN_APPLY_MS = 30_000;

const plainMs = (size: number, link: number): number => (size / link) * 1_000;

/** From the request of a delta to the last byte of its target. */
function deltaMs(size: number, deltaSize: number, { applying, load }: Pace, link: number): number {
  return plainMs(deltaSize, link) + (START_MS + (size / applying) * 1_000) * Math.max(1, load);
}

/** Time that a delta saves, in ms; negative: the blob itself comes sooner. */
const gainMs = (size: number, deltaSize: number, pace: Pace, link: number): number =>
  plainMs(size, link) * MAX_TIME_SHARE - deltaMs(size, deltaSize, pace, link);

/** Time that the blob takes, less that of its delta, in ms; 0 if it saves none, or the link is unknown. */
export const savedMs = (pace: Pace, size: number, deltaSize: number): number =>
  pace.link === undefined
    ? 0
    : Math.max(0, plainMs(size, pace.link) - deltaMs(size, deltaSize, pace, pace.link));

/** Whether a delta that the parent has is taken. While the link is unknown, it is. */
export function isWorthTaking(mode: DeltaMode, pace: Pace, size: number, deltaSize: number): boolean {
  if (mode === 'off' || deltaSize >= size) return false;
  return mode === 'always' || pace.link === undefined || gainMs(size, deltaSize, pace, pace.link) > 0;
}

/**
 * Of the sizes of an image's missing blobs, those for which the parent is asked.
 * @returns empty if the question would take longer than the deltas save
 */
export function worthAsking<T extends { size: number }>(
  mode: DeltaMode,
  pace: Pace,
  blobs: readonly T[],
): T[] {
  const large = blobs.filter(({ size }) => size >= MIN_DELTA_TARGET_BYTES);
  const { link, roundTripMs } = pace;
  if (mode === 'off') return [];
  if (mode === 'always' || link === undefined) return large;
  const gain = ({ size }: T) => gainMs(size, size * HOPED_SHARE, pace, link);
  const worth = large.filter((blob) => gain(blob) > 0);
  const sum = worth.reduce((ms, blob) => ms + gain(blob), 0);
  return sum > roundTripMs ? worth : [];
}

/** Of a blob that is crossing the link: its size, and what has not crossed yet. */
export type Rest = { size: number; left: number };

/** Time that a delta of this size saves if it replaces the rest of its target, in ms; 0: it saves none. */
export function switchGainMs(mode: DeltaMode, pace: Pace, { size, left }: Rest, deltaSize: number): number {
  if (mode === 'off' || pace.link === undefined) return 0;
  return Math.max(0, plainMs(left, pace.link) * MAX_TIME_SHARE - deltaMs(size, deltaSize, pace, pace.link));
}

/**
 * Whether a blob that the layer pulls while the parent receives it continues as the delta by which the parent gets it
 * now. While the link is unknown, it does: the rest comes no sooner than the parent has made it of that delta.
 */
export const isWorthSwitching = (mode: DeltaMode, pace: Pace, rest: Rest, deltaSize: number): boolean =>
  pace.link === undefined
    ? mode !== 'off' && deltaSize < rest.left
    : switchGainMs(mode, pace, rest, deltaSize) > 0;

/** Whether to ask for a delta to a blob that is crossing the link. */
export const isWorthAskingStill = (mode: DeltaMode, pace: Pace, rest: Rest): boolean =>
  switchGainMs(mode, pace, rest, rest.size * HOPED_SHARE) > pace.roundTripMs;

/** `ms`: since the first question. `idleMs`: since the last delta came, or since the first question. */
export type Waited = { ms: number; idleMs: number };

/**
 * How much longer to wait for deltas that the parent is making before the blobs themselves begin to cross, in ms. In
 * `auto`, while the link is unknown, not at all; else as long as their transfer and application would still save time,
 * unless they are overdue, or the wait would cost more than `MAX_LOSS` and what deltas have saved.
 * @param sizes of their targets
 * @param maxMs `delta.time`
 * @param savedMs time that deltas have saved, and that waits in vain have not used up
 */
export function waitMs(
  mode: DeltaMode,
  pace: Pace,
  sizes: readonly number[],
  waited: Waited,
  { maxMs, savedMs = Number.POSITIVE_INFINITY }: { maxMs: number; savedMs?: number },
): number {
  if (mode === 'off' || sizes.length === 0) return 0;
  const left = Math.max(0, maxMs - waited.ms);
  if (mode === 'always') return left;
  const { link } = pace;
  if (link === undefined) return 0;
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const gain = sizes.reduce((ms, size) => ms + gainMs(size, size * EXPECTED_SHARE, pace, link), 0);
  const making = (bytes / pace.making) * 1_000;
  if (making > gain) return 0;
  const affordable = plainMs(bytes, link) * MAX_LOSS + savedMs;
  const patience = Math.min(MAX_OVERDUE * making + TAKEOVER_MS, affordable);
  const ms = Math.min(left, gain - waited.idleMs, patience - waited.idleMs);
  return ms < MIN_WAIT_MS ? 0 : ms;
}

/**
 * How long content that the parent still receives in full is not pulled, in ms: the parent makes a delta of it as soon
 * as it has all of it. In `always`, for ever; in `auto`, while making and transferring the delta after that would still
 * save time, and for no longer than a wait in vain may take.
 * @param savedMs see `waitMs`
 */
export function holdMs(mode: DeltaMode, pace: Pace, size: number, savedMs: number): number {
  const { link, making } = pace;
  if (mode === 'always') return Number.POSITIVE_INFINITY;
  if (mode === 'off' || link === undefined) return 0;
  const left = gainMs(size, size * EXPECTED_SHARE, pace, link) - (size / making) * 1_000;
  return Math.max(0, Math.min(left, plainMs(size, link) * MAX_LOSS + savedMs));
}

/**
 * How long the parent may take to apply a pushed delta, in ms: in `auto`, no longer than the blob itself needs.
 * @param maxMs `delta.time`
 * @param blobMs predicted time of the blob; undefined: it is unknown
 */
export function applyWaitMs(mode: DeltaMode, maxMs: number, blobMs: number = UNKNOWN_APPLY_MS): number {
  return mode === 'always' ? maxMs : Math.min(maxMs, Math.max(MIN_APPLY_MS, blobMs));
}
