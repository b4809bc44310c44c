import { createHash } from 'node:crypto';
import { Fault } from '#proto/contract/fault.ts';
import { piecesOf } from '#proto/delta/bytes/bytes.ts';
import { DELTA_FORMAT, encodeDelta } from '#proto/delta/delta.ts';
import { readHeader } from '#proto/delta/format/header.ts';
import { DeltaInvalid } from '#proto/delta/format/invalid.ts';
import type { Digest } from '#proto/oci/names.ts';
import { chooseBases } from './choose-bases.ts';
import { asFault, codecOptions } from './codec-options.ts';
import type { WorkLimits } from './limits.ts';
import { openContent } from './open-content.ts';
import { SketchFiles } from './sketch-files.ts';
import { StdoutSink } from './stdout-sink.ts';
import type { Choice, Content, MakeTask, Result } from './task.ts';

type Encoded =
  | Omit<Extract<Result, { kind: 'made' }>, keyof Choice>
  | { kind: 'poor'; size: number }
  | { kind: 'wrong' };

/**
 * Writes the delta to stdout, if it is small enough.
 * @throws Fault: those of `openContent`, `codecOptions` and the limits
 */
export async function makeTask(task: MakeTask, limits: WorkLimits): Promise<Result> {
  const sketches = new SketchFiles(task.sketches, limits.checkSpace);
  const bases = await chooseBases(task, limits, sketches);
  const choice = { from: bases.map(({ digest }) => digest) };
  if (bases.length === 0 || isRefused(choice.from, task)) return { kind: 'poor', ...choice };
  try {
    return { ...encoded(task, bases, limits), ...choice };
  } catch (error) {
    if (!Fault.is(error)) throw error;
    throw new Fault(error.code, error.message, {
      cause: error,
      detail: { ...error.detail, from: choice.from },
    });
  }
}

const isRefused = (from: Digest[], { refused }: MakeTask): boolean =>
  refused.some((one) => one.length === from.length && one.every((digest) => from.includes(digest)));

function encoded(task: MakeTask, bases: Content[], limits: WorkLimits): Encoded {
  const target = openContent(task.target, limits);
  const blobs = bases.map((base) => openContent(base, limits));
  let delta: ReturnType<typeof encodeDelta>;
  try {
    delta = encodeDelta({ ...codecOptions(task, limits), target, bases: blobs });
  } catch (error) {
    if (error instanceof DeltaInvalid) return { kind: 'wrong' };
    throw asFault(error, limits);
  }
  const { size } = delta;
  if (size > task.maxShare * task.target.size) return { kind: 'poor', size };
  const hash = createHash('sha256');
  const sink = new StdoutSink();
  for (const piece of piecesOf(delta, 0, size)) {
    limits.throwIfAborted();
    hash.update(piece);
    sink.append(piece);
  }
  sink.end();
  const isGzip = readHeader(delta).streams.segments.length > 0;
  return {
    kind: 'made',
    digest: `sha256:${hash.digest('hex')}`,
    size,
    deltaKind: isGzip ? 'gzip' : 'raw',
    format: DELTA_FORMAT,
  };
}
