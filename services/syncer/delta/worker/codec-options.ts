import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Fault } from '#proto/contract/fault.ts';
import { DeltaLimitExceeded, type DeltaOptions } from '#proto/delta/bounded-work.ts';
import type { WorkLimits } from './limits.ts';
import { ScratchFile } from './scratch-file.ts';
import type { Task } from './task.ts';

/** Max size of content, as a multiple of the stored bytes: layers that are nearly empty have some hundred. */
export const MAX_CONTENT_RATIO = 300;

export const codecOptions = (
  { scratch, limits: { scratchBytes } }: Task,
  limits: WorkLimits,
): DeltaOptions => ({
  scratch: () => new ScratchFile(join(scratch, randomUUID()), limits.checkSpace),
  bounds: {
    maxContentBytes: scratchBytes,
    maxContentRatio: MAX_CONTENT_RATIO,
    maxScratchBytes: scratchBytes,
    // The limits, which are polled as the signal, have their own clock.
    maxTimeMs: limits.leftMs,
  },
  signal: limits,
});

/** A bound of the codec as a fault. */
export const asFault = (error: unknown, limits: WorkLimits): unknown =>
  error instanceof DeltaLimitExceeded
    ? new Fault(limits.leftMs === 0 ? 'too-slow' : 'too-large', error.message, { cause: error })
    : error;
