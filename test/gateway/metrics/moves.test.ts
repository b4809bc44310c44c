import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { HTTP_BOUNDS_S, PASS_BOUNDS_S } from '#proto/status/process-metrics.ts';
import { exposition } from '../../../services/gateway/metrics/exposition.ts';
import { families } from '../../../services/gateway/metrics/families.ts';
import type { Figures, MeasuredProcess } from '../../../services/gateway/metrics/figures.ts';
import { Scraped } from '../../support/metrics.ts';

/** Every metric moves when what it stands for changes: between a layer at rest and one in trouble. */

const NOW = 1_800_000_000_000;
const S = 1_000;

const nothing = (words: string) => Object.fromEntries(words.split(' ').map((word) => [word, 0]));
const noTransfers = {
  outcomes: nothing('finished mounted paused failed'),
  bytes: nothing('new again reused mounted cut-through'),
  saved: { delta: nothing('transfers bytes cpuMs'), frames: nothing('transfers bytes cpuMs') },
  failures: {},
  retries: {},
};
const deltas = (outcomes: object, ...[targetBytes, deltaBytes, makeMs, applyMs]: number[]) => ({
  outcomes: { ...nothing('made poor applied mismatched failed'), ...outcomes },
  ...{ failures: {}, targetBytes, deltaBytes, makeMs, applyMs },
});
const noWork = { down: noTransfers, up: noTransfers, deltas: deltas({}, 0, 0, 0, 0) };
const process = (service: string, more: object = {}) =>
  ({
    ...{ service, instance: service, host: 'h', pid: service.length, started: NOW, node: 'v24' },
    ...{ cpu: { user: 0, system: 0 }, memory: { resident: 1, heap: 1 }, loop: { lag: 0, active: 0 } },
    ...{ bus: 0, files: 1 },
    ...more,
  }) as MeasuredProcess;
const none = (bounds: readonly number[]) => ({ buckets: bounds.map(() => 0), seconds: 0 });
const endpoint = (codes: object, seconds: number) => ({
  ...{ route: 'manifest', method: 'GET', codes, duration: { ...none(HTTP_BOUNDS_S), seconds } },
});
const passes = (more: object) => ({
  outcomes: nothing('ok ended failed parked incomplete'),
  actions: nothing('taken dropped sent withdrawn failed'),
  ...{ failures: {}, duration: none(PASS_BOUNDS_S), ...more },
});

const atRest: Figures = {
  ...{ now: NOW, tookS: 0.01, version: '1' },
  status: {
    services: [],
    silent: [],
    syncers: [{ transfers: [], rate: { down: 0, up: 0 } }],
    coordinator: 's',
    configuration: { parent: { url: 'https://above' }, mode: 'ReadOnly', delta: { cache: 1_000 } },
    link: { state: 'Online', since: NOW },
    sync: {
      ...{ state: 'in-sync', conflicts: 0, leftOut: 0, behind: { tags: 0, bytes: 0, unsized: 0, failed: 0 } },
      ahead: { tags: 0, manifests: 0, deletions: 0, parked: 0 },
    },
    storage: {
      ...{ repositories: 0, tags: 0, blobs: 0, bytes: 0, damaged: 0, tokens: 1, ingests: [] },
      ...{ space: { free: 9, reserve: 1, low: false, inodes: { free: 9, reserve: 1 } } },
      outgoing: { unsent: 0, withdrawn: 0, parked: 0, kept: 0 },
      ...{ audit: { lost: 0 }, forwarding: { state: 'Connected', waiting: 0 } },
    },
    below: [{ child: 'c', seen: NOW, path: [], link: { state: 'Online' }, sync: { behind: { tags: 0 } } }],
    webhooks: [{ name: 'w', state: 'Online', behind: 0 }],
    bridge: { complaints: [], session: { connected: true } },
    natsServer: { version: '2', advisories: [] },
  } as unknown as LayerStatus,
  processes: [
    process('gateway', { http: { inFlight: 0, endpoints: [endpoint({ 200: 0 }, 0)] } }),
    process('syncer', { sync: { passes: passes({}), ...noWork } }),
  ],
};

const transfer = (direction: string) => ({ direction, repository: 'a', digest: 'd' });
const inTrouble: Figures = {
  ...{ now: NOW + 60 * S, tookS: 0.3, version: '2' },
  status: {
    services: [{ service: 'gateway', instance: 'g', open: true, certificateEnds: NOW + S }],
    silent: ['twin-bridge'],
    syncers: [
      { transfers: [transfer('down'), transfer('up'), transfer('up')], rate: { down: 7, up: 0 }, limit: 9 },
    ],
    coordinator: 's',
    configuration: { parent: { url: 'https://above' }, mode: 'ReadWrite', delta: { cache: 2_000 } },
    link: {
      ...{ state: 'Offline', since: NOW + S, live: true, lastSync: NOW, next: NOW + S, paused: {} },
      ...{ window: { open: false, until: NOW + S }, passes: { count: 2, last: NOW }, unmatched: ['x'] },
      leftOut: { images: 1, referrers: 2, children: 3, tags: 4, first: [] },
    },
    sync: {
      ...{ state: 'behind', asOf: NOW, until: NOW + S, uncompared: 2, conflicts: 3, leftOut: 1 },
      behind: { tags: 4, bytes: 100, unsized: 2, failed: 1, since: NOW },
      ahead: { tags: 0, manifests: 0, deletions: 0, parked: 0 },
    },
    storage: {
      ...{ repositories: 1, tags: 2, blobs: 3, bytes: 4, damaged: 5, tokens: 0, closed: true },
      ...{ ingests: [{ purpose: 'upload' }], metadata: ['damage'], accounts: ['a'] },
      ...{ space: { free: 2, reserve: 3, low: true, inodes: { free: 4, reserve: 5 } } },
      outgoing: { unsent: 1, withdrawn: 2, parked: 3, kept: 4 },
      ...{ audit: { lost: 6 }, forwarding: { state: 'Away', waiting: 7, lost: { count: 8 } } },
      exchanges: [
        {
          ...{ peer: 'p', isParent: true },
          inbox: { last: { at: NOW, number: 3 }, failure: { since: NOW, reason: 'r' } },
          outbox: { last: { at: NOW + S, number: 4 }, acknowledged: 2, failure: { since: NOW, reason: 'r' } },
        },
      ],
      deltas: { count: 4, bytes: 70, refused: 2 },
      scrub: { bytes: 3, total: 9, damaged: 1 },
      backup: {
        ...{ failures: 3, failed: { count: 1 }, running: {}, schedule: { lateAfter: NOW + S } },
        last: { at: NOW, ms: 2 * S, bytes: 5, written: 6 },
      },
    },
    below: [
      ...[{ child: 'c', seen: NOW + S, path: [], link: { state: 'Offline' }, sync: { behind: { tags: 9 } } }],
      ...[{ child: 'c', seen: NOW + S, path: ['d'], link: { state: 'Offline' } }],
      ...[{ child: 'e', seen: NOW, path: [], waiting: 500 }],
    ],
    history: { count: 2 },
    webhooks: [{ name: 'w', state: 'Failing', behind: 5, failure: { attempts: 3 }, acceptedAt: NOW }],
    unreadable: [{}],
    bridge: { complaints: ['a', 'b'], session: { connected: false } },
    natsServer: { version: '2', advisories: ['a'] },
  } as unknown as LayerStatus,
  processes: [
    process('gateway', { http: { inFlight: 2, endpoints: [endpoint({ 200: 5, 503: 1 }, 2)] } }),
    process('storage'),
    process('storage', { instance: 'another', pid: 1 }),
    process('syncer', {
      ...{ started: NOW + S, node: 'v25', cpu: { user: 1, system: 2 }, memory: { resident: 9, heap: 8 } },
      ...{ loop: { lag: 0.5, active: 3 }, bus: 0.2, files: 20 },
      sync: {
        certificateEnds: NOW + 2 * S,
        passes: passes({
          ...{ outcomes: { ok: 1, failed: 2 }, actions: { taken: 3, sent: 4 }, failures: { conflict: 5 } },
          duration: { ...none(PASS_BOUNDS_S), seconds: 30 },
        }),
        down: {
          ...{ outcomes: { finished: 1, failed: 2 }, bytes: { new: 100, again: 10 } },
          ...{ failures: { 'no-space': 2 }, retries: { 'parent-unreachable': 7 } },
          saved: {
            delta: { transfers: 2, bytes: 900, cpuMs: 1_500 },
            frames: { transfers: 1, bytes: 50, cpuMs: 0 },
          },
        },
        up: noTransfers,
        deltas: { ...deltas({ made: 3, mismatched: 1 }, 800, 60, 2_000, 500), failures: { timeout: 1 } },
      },
    }),
  ],
};

const AT = NOW / S;
/** Name and labels of a sample, then its value at rest and in trouble; undefined: absent. */
const moves: [name: string, labels: Record<string, string>, before: number | undefined, after: number][] = [
  ['link_up', {}, 1, 0],
  ['link_state', { state: 'Offline' }, 0, 1],
  ['link_state_change_timestamp_seconds', {}, AT, AT + 1],
  ['link_live', {}, 0, 1],
  ['link_window_open', {}, 1, 0],
  ['link_window_change_timestamp_seconds', {}, undefined, AT + 1],
  ['link_bandwidth_limit_bytes_per_second', {}, undefined, 9],
  ['link_rate_bytes_per_second', { direction: 'down' }, 0, 7],
  ['link_paused', {}, 0, 1],
  ['pass_last_success_timestamp_seconds', {}, undefined, AT],
  ['pass_last_timestamp_seconds', {}, undefined, AT],
  ['pass_next_timestamp_seconds', {}, undefined, AT + 1],
  ['passes', { outcome: 'failed' }, 0, 2],
  ['pass_actions', { action: 'sent' }, 0, 4],
  ['pass_failures', { code: 'conflict' }, undefined, 5],
  ['pass_duration_seconds', {}, 0, 30],
  ['transfers_active', { direction: 'up' }, 0, 2],
  ['transfers', { direction: 'down', outcome: 'failed' }, 0, 2],
  ['transfer_failures', { code: 'no-space' }, undefined, 2],
  ['transfer_retries', { code: 'parent-unreachable' }, undefined, 7],
  ['transfer_bytes', { kind: 'again' }, 0, 10],
  ['sync_state', { state: 'behind' }, 0, 1],
  ['sync_behind_tags', {}, 0, 4],
  ['sync_behind_bytes', {}, 0, 100],
  ['sync_behind_unsized_tags', {}, 0, 2],
  ['sync_behind_failed_tags', {}, 0, 1],
  ['sync_behind_seconds', {}, 0, 60],
  ['sync_uncompared_repositories', {}, 0, 2],
  ['sync_known_timestamp_seconds', {}, undefined, AT],
  ['sync_done_timestamp_seconds', {}, undefined, AT + 1],
  ['sync_conflicts', {}, 0, 3],
  ['left_out', { kind: 'child' }, 0, 3],
  ['unmatched_selections', {}, 0, 1],
  ['delta_saved_bytes', { direction: 'down', kind: 'delta' }, 0, 900],
  ['delta_transfers', { direction: 'down', kind: 'frames' }, 0, 1],
  ['delta_transfer_cpu_seconds', { kind: 'delta' }, 0, 1.5],
  ['deltas', { outcome: 'mismatched' }, 0, 1],
  ['delta_failures', { code: 'timeout' }, undefined, 1],
  ['delta_target_bytes', {}, 0, 800],
  ['delta_made_bytes', {}, 0, 60],
  ['delta_cpu_seconds', { action: 'apply' }, 0, 0.5],
  ['delta_cache_deltas', {}, 0, 4],
  ['delta_cache_bytes', {}, 0, 70],
  ['delta_cache_limit_bytes', {}, 1_000, 2_000],
  ['delta_refused_pairs', {}, 0, 2],
  ['archive_import_timestamp_seconds', { peer: 'p' }, undefined, AT],
  ['archive_import_number', { peer: 'p' }, undefined, 3],
  ['archive_import_failed', { peer: 'p' }, undefined, 1],
  ['archive_export_timestamp_seconds', { peer: 'p' }, undefined, AT + 1],
  ['archive_export_number', { peer: 'p' }, undefined, 4],
  ['archive_acknowledged_number', { peer: 'p' }, undefined, 2],
  ['archive_export_failed', { peer: 'p' }, undefined, 1],
  ['storage_repositories', {}, 0, 1],
  ['storage_tags', {}, 0, 2],
  ['storage_blobs', {}, 0, 3],
  ['storage_bytes', {}, 0, 4],
  ['storage_free_bytes', {}, 9, 2],
  ['storage_reserve_bytes', {}, 1, 3],
  ['storage_free_inodes', {}, 9, 4],
  ['storage_reserve_inodes', {}, 1, 5],
  ['storage_low', {}, 0, 1],
  ['storage_damaged_blobs', {}, 0, 5],
  ['storage_metadata_damaged', {}, 0, 1],
  ['scrub_running', {}, 0, 1],
  ['scrub_read_bytes', {}, undefined, 3],
  ['scrub_total_bytes', {}, undefined, 9],
  ['scrub_damaged_blobs', {}, undefined, 1],
  ['storage_ingests', { purpose: 'upload' }, 0, 1],
  ['outgoing_changes', { state: 'kept' }, 0, 4],
  ['tokens', {}, 1, 0],
  ['accounts_open', {}, 0, 1],
  ['accounts_lost', {}, 0, 1],
  ['accounts_not_as_declared', {}, 0, 1],
  ['audit_lost', {}, 0, 6],
  ['audit_receiver_up', {}, 1, 0],
  ['audit_receiver_backlog_entries', {}, 0, 7],
  ['audit_receiver_lost_entries', {}, 0, 8],
  ['backup_last_success_timestamp_seconds', {}, undefined, AT],
  ['backup_late_timestamp_seconds', {}, undefined, AT + 1],
  ['backup_last_duration_seconds', {}, undefined, 2],
  ['backup_last_bytes', {}, undefined, 5],
  ['backup_last_written_bytes', {}, undefined, 6],
  ['backup_failures', {}, 0, 3],
  ['backup_failed', {}, 0, 1],
  ['backup_running', {}, 0, 1],
  ['children', {}, 1, 2],
  ['child_last_seen_timestamp_seconds', { child: 'c' }, AT, AT + 1],
  ['child_link_up', { child: 'c' }, 1, 0],
  ['child_layers', { child: 'c' }, 1, 2],
  ['child_layers_down', { child: 'c' }, 0, 2],
  ['child_behind_tags', { child: 'c' }, 0, 9],
  ['child_events_waiting', { child: 'e' }, undefined, 500],
  ['events_refused', {}, undefined, 2],
  ['webhook_up', { webhook: 'w' }, 1, 0],
  ['webhook_backlog_events', { webhook: 'w' }, 0, 5],
  ['webhook_failed_attempts', { webhook: 'w' }, 0, 3],
  ['webhook_last_accepted_timestamp_seconds', { webhook: 'w' }, undefined, AT],
  ['http_requests', { code: '503' }, undefined, 1],
  ['http_request_duration_seconds', {}, 0, 2],
  ['http_requests_in_flight', {}, 0, 2],
  ['build_info', { version: '2' }, undefined, 1],
  ['layer_info', { mode: 'ReadWrite' }, undefined, 1],
  ['scrape_timestamp_seconds', {}, AT, AT + 60],
  ['scrape_duration_seconds', {}, 0.01, 0.3],
  ['service_up', { service: 'storage' }, 0, 1],
  ['service_processes', { service: 'storage' }, 0, 2],
  ['process_start_time_seconds', { service: 'syncer' }, AT, AT + 1],
  ['process_cpu_seconds', { service: 'syncer', mode: 'system' }, 0, 2],
  ['process_resident_memory_bytes', { service: 'syncer' }, 1, 9],
  ['process_heap_bytes', { service: 'syncer' }, 1, 8],
  ['process_open_files', { service: 'syncer' }, 1, 20],
  ['process_event_loop_lag_seconds', { service: 'syncer' }, 0, 0.5],
  ['process_event_loop_active_seconds', { service: 'syncer' }, 0, 3],
  ['process_bus_round_trip_seconds', { service: 'syncer' }, 0, 0.2],
  ['certificate_expiry_timestamp_seconds', { certificate: 'parent' }, undefined, AT + 2],
  ['configuration_complaints', {}, 0, 2],
  ['twin_connected', {}, 1, 0],
  ['bus_unreadable_entries', {}, 0, 1],
  ['bus_advisories', {}, 0, 1],
];

const scraped = (figures: Figures) =>
  new Scraped(exposition(families, figures, 'prometheus', { layer: 'plant' }));

test('each metric moves with what it stands for', () => {
  const [before, after] = [scraped(atRest), scraped(inTrouble)];
  for (const [name, labels, atFirst, then] of moves) {
    const type = families.find((family) => family.name === name)?.type;
    const suffix = type === 'counter' ? '_total' : type === 'histogram' ? '_sum' : '';
    const values = [before, after].map((one) => one.sum(`${name}${suffix}`, labels));
    assert.deepEqual(values, [atFirst, then], name);
  }
});

test('no metric is missing from that', () => {
  assert.deepEqual(moves.map(([name]) => name).toSorted(), families.map(({ name }) => name).toSorted());
});

const withStatus = (more: object): Figures => ({
  ...atRest,
  status: { ...atRest.status, ...more } as LayerStatus,
});

test('the link of a child is not down while it is paused, or waits for its window', () => {
  for (const [code, up] of Object.entries({ paused: 1, 'window-closed': 1, 'parent-unreachable': 0 })) {
    const below = [{ child: 'c', seen: NOW, path: [], link: { state: 'Offline', code } }];
    const figures = scraped(withStatus({ below }));
    assert.equal(figures.sum('child_link_up', { child: 'c' }), up, code);
    assert.equal(figures.sum('child_layers_down', { child: 'c' }), 1 - up, code);
  }
});

test('the certificate of the parent is the newest that a syncer saw, that of the layer the first one to end', () => {
  const services = [NOW + 3 * S, NOW + S].map((certificateEnds) => ({ service: 'gateway', certificateEnds }));
  const processes = [NOW + S, NOW + 9 * S, undefined].map((certificateEnds) =>
    process('syncer', {
      sync: { certificateEnds, passes: passes({}), ...noWork },
    }),
  );
  const figures = scraped({ ...withStatus({ services }), processes });
  const endOf = (certificate: string) => figures.sum('certificate_expiry_timestamp_seconds', { certificate });
  assert.deepEqual([endOf('layer'), endOf('parent')], [AT + 1, AT + 9]);
});
