import type { FastifyRequest } from 'fastify';
import { each } from '#proto/async/each.ts';
import type { BusCaller } from '#proto/bus/roles.ts';
import type { ArrivingDelta } from '#proto/content/arriving.ts';
import { findDeltas, MAX_HELD } from '#proto/content/deltas.ts';
import type { Digest } from '#proto/oci/names.ts';
import { sees } from '../auth/request-caller.ts';
import { BaseRights } from './base-rights.ts';

/** Max repositories of targets that are asked about at a time. */
const MAX_PARALLEL = 8;

/** Deltas in transfer whose target and bases the caller may pull. */
export async function arrivingDeltas(
  { bus, times }: { bus: BusCaller; times: { patienceMs: number } },
  request: FastifyRequest,
  listed: readonly ArrivingDelta[],
): Promise<ArrivingDelta[]> {
  const { patienceMs } = times;
  const readable = listed.filter(({ repository }) => sees(request, repository, 'content/read'));
  if (readable.length === 0 || sees(request, '*', 'content/read')) return readable;
  // Most bases are in the repository of the target: only the others are searched for in all.
  const permitted = new Set<Digest>();
  const byRepository = Map.groupBy(readable, ({ repository }) => repository);
  await each(byRepository, MAX_PARALLEL, async ([repository, deltas]) => {
    const query = { repository, wanted: [], held: basesOf(deltas) };
    const { bases } = await bus.call(findDeltas, query, { patience: patienceMs });
    for (const { digest, repositories } of bases)
      if (repositories.includes(repository)) permitted.add(digest);
  });
  const held = basesOf(readable).filter((digest) => !permitted.has(digest));
  const [{ repository }] = readable as [ArrivingDelta];
  if (held.length > 0) {
    const rights = new BaseRights(bus, patienceMs);
    const { bases, mayPull } = await rights.find(request, { repository, wanted: [], held });
    for (const { digest } of bases) if (mayPull(digest)) permitted.add(digest);
  }
  return readable.filter(({ delta }) => delta.from.every((digest) => permitted.has(digest)));
}

const basesOf = (deltas: readonly ArrivingDelta[]): Digest[] =>
  [...new Set(deltas.flatMap(({ delta }) => delta.from))].slice(0, MAX_HELD);
