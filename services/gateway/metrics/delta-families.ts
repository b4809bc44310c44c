import type { DeltaMetrics, SyncMetrics, savingKinds } from '#proto/status/process-metrics.ts';
import { byWord, counter, type Family, gauge, type Sample } from './family.ts';
import type { Figures } from './figures.ts';

/** Deltas: what they saved on the link, what they cost, and what storage keeps of them. */

const directions = ['down', 'up'] as const;

const syncersOf = ({ processes }: Figures): { process: string; sync: SyncMetrics }[] =>
  processes.flatMap(({ instance, sync }) => (sync ? [{ process: instance, sync }] : []));

type Saved = SyncMetrics['down']['saved'][(typeof savingKinds)[number]];

/** Of each syncer, in each direction, by what crossed the link instead of blobs. */
const saved =
  (read: (saved: Saved) => number) =>
  (figures: Figures): Sample[] =>
    syncersOf(figures).flatMap(({ process, sync }) =>
      directions.flatMap((direction) =>
        Object.entries(sync[direction].saved).map(([kind, one]) => ({
          labels: { process, direction, kind },
          value: read(one),
        })),
      ),
    );

/** Of each syncer, by a word. */
const ofDeltas =
  (label: string, read: (deltas: DeltaMetrics) => Record<string, number>) =>
  (figures: Figures): Sample[] =>
    syncersOf(figures).flatMap(({ process, sync }) => byWord(label, read(sync.deltas), { process }));

/** Of each syncer. */
const bySyncer =
  (read: (deltas: DeltaMetrics) => number) =>
  (figures: Figures): Sample[] =>
    syncersOf(figures).map(({ process, sync }) => ({ labels: { process }, value: read(sync.deltas) }));

export const deltaFamilies: Family[] = [
  counter(
    'delta_saved_bytes',
    'Bytes of blobs that did not cross the link, as something smaller did: a `delta` of what the receiver had, or only those `frames` that it lacked.',
    saved(({ bytes }) => bytes),
    'process',
    'direction',
    'kind',
  ),
  counter(
    'delta_transfers',
    'Transfers of blobs that saved bytes in this way.',
    saved(({ transfers }) => transfers),
    'process',
    'direction',
    'kind',
  ),
  counter(
    'delta_transfer_cpu_seconds',
    'Processor time that rebuilding the blobs of these transfers took here.',
    saved(({ cpuMs }) => cpuMs / 1_000),
    'process',
    'direction',
    'kind',
  ),
  counter(
    'deltas',
    'Deltas by outcome. `made`: kept for receivers. `poor`: hardly smaller than the target, and dropped. `applied`: made its target. `mismatched`: made other bytes, of which nothing is kept. `failed`: was not made, or not applied, for another cause.',
    ofDeltas('outcome', ({ outcomes }) => outcomes),
    'process',
    'outcome',
  ),
  counter(
    'delta_failures',
    'Deltas that failed, by fault.',
    ofDeltas('code', ({ failures }) => failures),
    'process',
    'code',
  ),
  counter(
    'delta_target_bytes',
    'Bytes of the targets of the deltas that were made.',
    bySyncer(({ targetBytes }) => targetBytes),
    'process',
  ),
  counter(
    'delta_made_bytes',
    'Bytes of the deltas that were made.',
    bySyncer(({ deltaBytes }) => deltaBytes),
    'process',
  ),
  counter(
    'delta_cpu_seconds',
    'Processor time of deltas, by what it was for: `make` or `apply`.',
    ofDeltas('action', ({ makeMs, applyMs }) => ({ make: makeMs / 1_000, apply: applyMs / 1_000 })),
    'process',
    'action',
  ),
  gauge(
    'delta_cache_deltas',
    'Deltas that are kept for the layers below.',
    ({ status: { storage } }) => storage && (storage.deltas?.count ?? 0),
  ),
  gauge(
    'delta_cache_bytes',
    'Bytes of these deltas.',
    ({ status: { storage } }) => storage && (storage.deltas?.bytes ?? 0),
  ),
  gauge(
    'delta_cache_limit_bytes',
    'Max bytes of these deltas: `delta.cache` of the configuration.',
    ({ status: { configuration } }) => configuration?.delta.cache,
  ),
  gauge(
    'delta_refused_pairs',
    'Pairs of content that get no delta, as it is hardly smaller than the target, or made other bytes.',
    ({ status: { storage } }) => storage && (storage.deltas?.refused ?? 0),
  ),
];
