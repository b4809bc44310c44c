import { Fault } from '#proto/contract/fault.ts';
import { applyDelta } from '#proto/delta/delta.ts';
import { DeltaInvalid } from '#proto/delta/format/invalid.ts';
import { asFault, codecOptions } from './codec-options.ts';
import type { WorkLimits } from './limits.ts';
import { openContent, sha256Of } from './open-content.ts';
import { StdoutSink } from './stdout-sink.ts';
import type { ApplyTask, Result } from './task.ts';

/**
 * Writes the target to stdout.
 * @throws Fault `delta-invalid` if these bytes are of no use; those of `openContent`, `codecOptions` and the limits
 */
export function applyTask(task: ApplyTask, limits: WorkLimits): Result {
  const { digest, size } = task.target;
  const target = { length: size, sha256: sha256Of(digest) };
  const delta = openContent(task.delta, limits);
  const bases = task.bases.map((base) => openContent(base, limits));
  const sink = new StdoutSink();
  try {
    applyDelta({ ...codecOptions(task, limits), delta: delta.bytes, bases, target, sink });
  } catch (error) {
    if (!(error instanceof DeltaInvalid)) throw asFault(error, limits);
    throw new Fault('delta-invalid', `${task.delta.digest} does not make ${digest}: ${error.message}`, {
      cause: error,
    });
  }
  sink.end();
  return { kind: 'applied' };
}
