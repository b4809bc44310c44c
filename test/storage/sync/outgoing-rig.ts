import { deleteManifest } from '#proto/content/manifests.ts';
import { listUnsent, listWithdrawn, settleOutgoing } from '#proto/sync/outgoing.ts';
import type { Rig } from '../rig.ts';

/** Changes of one repository, made by its clients and settled by the syncer, and those that are outgoing. */

export const repository = 'lib/app';
export const unsent = async (rig: Rig) => (await rig.syncer.call(listUnsent, { limit: 100 })).manifests;
export const withdrawn = async (rig: Rig) => (await rig.syncer.call(listWithdrawn, { limit: 100 })).manifests;
/** Digests only. */
export const pending = async (rig: Rig) => ({
  unsent: (await unsent(rig)).map(({ digest }) => digest),
  withdrawn: (await withdrawn(rig)).map(({ digest }) => digest),
});
export const put = (rig: Rig, text: string, more: { arrived?: boolean; tag?: string } = {}) =>
  rig.gateway.pushImage(repository, text, more);
export const remove = (rig: Rig, digest: string, arrived?: boolean) =>
  rig.gateway.call(deleteManifest, { repository, digest, ...(arrived !== undefined && { arrived }) });
export const settle = (rig: Rig, digest: string, until?: number) =>
  rig.syncer.call(settleOutgoing, { repository, digests: [digest], ...(until !== undefined && { until }) });
