import { archiveFamilies } from './archive-families.ts';
import { deltaFamilies } from './delta-families.ts';
import type { Family } from './family.ts';
import { httpFamilies } from './http-families.ts';
import { linkAndTransferFamilies } from './link-families.ts';
import { processFamilies } from './process-families.ts';
import { receiverFamilies } from './receiver-families.ts';
import { storageFamilies } from './storage-families.ts';
import { syncFamilies } from './sync-families.ts';

/** All metrics, by heading of docs/reference/metrics.md. Each file declares those of a part, with what they read. */
export const familiesByPart: Record<string, Family[]> = {
  'Link, passes and transfers': linkAndTransferFamilies,
  Synchronization: syncFamilies,
  Deltas: deltaFamilies,
  Storage: storageFamilies,
  Archives: archiveFamilies,
  'Layers below, webhooks and events': receiverFamilies,
  Requests: httpFamilies,
  'Services and processes': processFamilies,
};

export const families: Family[] = Object.values(familiesByPart).flat();
