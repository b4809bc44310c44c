import { join } from 'node:path';
import type { Cloud } from '../../test/support/registry/cloud.ts';
import { syncByLayer, syncBySkopeo } from '../sync.ts';
import { EmulatedLink, idealSeconds, type LinkConditions } from './emulated-link.ts';
import { ParentBeyondLink } from './parent-beyond-link.ts';

/** Max time of one pass, in ms: far more than the slowest link needs. */
const MAX_PASS_MS = 30 * 60_000;

/** Time after which skopeo is stopped, in s, and in multiples of what the link needs. The longer one applies. */
const MAX_SKOPEO_S = 60;
const MAX_SKOPEO_FACTOR = 10;

/** Where content comes from: a registry on this side of the link, whose folder a parent beyond it serves. */
export type LinkSource = { cloud: Cloud; repository: string; bytes: number };

export type Contender = 'terrace' | 'skopeo sync';

/**
 * Synchronizes the repository over a new link, into an empty layer or with skopeo into an empty docker-registry.
 * @param program see `compileEmulator`
 * @returns seconds from the first frame on the link to the last one with content; infinite if skopeo was stopped
 */
export async function secondsOverLink(
  contender: Contender,
  { cloud, repository, bytes }: LinkSource,
  conditions: LinkConditions,
  { program, folder }: { program: string; folder: string },
): Promise<number> {
  const ideal = idealSeconds(bytes, conditions);
  const maxSkopeoS = Math.max(MAX_SKOPEO_S, MAX_SKOPEO_FACTOR * ideal);
  await using link = await EmulatedLink.create(program, conditions);
  await using parent = await ParentBeyondLink.start(link, join(cloud.folder, 'registry'), folder);
  if (contender === 'terrace') await syncByLayer(cloud, [repository], parent.url, MAX_PASS_MS);
  else if (!Number.isFinite(await syncBySkopeo(cloud, [repository], parent.host, maxSkopeoS)))
    return Number.POSITIVE_INFINITY;
  const { firstNs, lastNs, payloadBytes } = await link.end();
  const seconds = (lastNs - firstNs) / 1e9;
  if (payloadBytes < bytes || seconds < ideal * 0.99)
    throw new Error(`${contender}: the link carried less than the content`);
  return seconds;
}
