import type { FastifyRequest } from 'fastify';
import type { BusCaller } from '#proto/bus/roles.ts';
import type { ArrivingDelta } from '#proto/content/arriving.ts';
import { findDeltas, MAX_HELD } from '#proto/content/deltas.ts';
import { sees } from '../auth/request-caller.ts';
import { BaseRights } from './base-rights.ts';

/** Deltas in transfer whose target and bases the caller may pull. */
export async function arrivingDeltas(
  { bus, times }: { bus: BusCaller; times: { patienceMs: number } },
  request: FastifyRequest,
  listed: readonly ArrivingDelta[],
): Promise<ArrivingDelta[]> {
  const readable = listed.filter(({ repository }) => sees(request, repository, 'content/read'));
  const [first] = readable;
  if (!first || sees(request, '*', 'content/read')) return readable;
  const held = [...new Set(readable.flatMap(({ delta }) => delta.from))].slice(0, MAX_HELD);
  const query = { repository: first.repository, wanted: [], held };
  const { bases } = await bus.call(findDeltas, query, { patience: times.patienceMs });
  const isPermitted = await new BaseRights(bus, times.patienceMs).of(request, bases);
  return readable.filter(({ delta }) => delta.from.every(isPermitted));
}
