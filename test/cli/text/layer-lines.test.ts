import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import type { SyncerStatus } from '#proto/status/status.ts';
import type { SyncFigure } from '#proto/sync/sync-figure.ts';
import { describeStatus } from '../../../cli/commands/observe/status.ts';
import { configurationWith } from '../../support/configuration.ts';

/** Lines of `terrace status` about the layer and its bandwidth: version, certificate, rate and limit. */

const now = Date.UTC(2030, 0, 1);
const DAY = 86_400_000;
const service = { service: 'gateway', instance: 'g', host: 'a', pid: 1, started: now, memory: 1 };
const configuration = configurationWith({ name: 'plant', parent: { url: 'https://registry.example' } });
const textOf = (more: Partial<LayerStatus>) =>
  describeStatus({ services: [], syncers: [], silent: [], configuration, ...more }, now);
const lineOf = (start: string, more: Partial<LayerStatus>) =>
  textOf(more)
    .split('\n')
    .filter((line) => line.startsWith(`  ${start}`))
    .map((line) => line.trim());

test('without its configuration, nothing is claimed about a parent', () => {
  const text = describeStatus({ services: [], syncers: [], silent: ['storage'] }, now);
  assert.match(text, /The configuration is unknown/);
  assert.doesNotMatch(text, /parent/i);
});

test('a layer below that is cut off was in sync, as of when that was known', () => {
  const link = { state: 'Offline', since: now - 7_200_000, coordinator: 's', code: 'not-heard' } as const;
  const sync: SyncFigure = {
    ...{ state: 'in-sync', asOf: 0, conflicts: 0, leftOut: 0 },
    behind: { tags: 0, bytes: 0, unsized: 0, failed: 0 },
    ahead: { tags: 0, manifests: 0, deletions: 0, parked: 0 },
  };
  const below = { child: 'cell', path: [], name: 'cell', mode: 'ReadOnly', at: 0, seen: now, sync } as const;
  assert.match(textOf({ below: [{ ...below, path: [], link }] }), /Offline +was in sync 2 h ago /);
  const online = { ...link, state: 'Online' } as const;
  assert.match(textOf({ below: [{ ...below, path: [], link: online }] }), /Online +in sync /);
});

const certificates: [title: string, ends: (number | undefined)[], lines: string[]][] = [
  ['without TLS, there is no line', [undefined], []],
  ['one that is valid for long', [now + 90 * DAY], ['certificate ends on 2030-04-01 00:00 UTC (in 90 d)']],
  [
    'one that ends after 14 days or more is not yet to be renewed',
    [now + 14 * DAY],
    ['certificate ends on 2030-01-15 00:00 UTC (in 14 d)'],
  ],
  [
    'one that ends within 14 days is to be renewed',
    [now + 14 * DAY - 60_000],
    ['certificate ends on 2030-01-14 23:59 UTC (in 13 d 23 h): renew it'],
  ],
  [
    'one that ends within a minute',
    [now + 30_000],
    ['certificate ends on 2030-01-01 00:00 UTC (in 30 s): renew it'],
  ],
  [
    'one that has ended',
    [now],
    ['certificate EXPIRED on 2030-01-01 00:00 UTC, and clients reject it: renew it'],
  ],
  [
    'of two gateways, the one that ends first',
    [now + 90 * DAY, undefined, now - DAY],
    ['certificate EXPIRED on 2029-12-31 00:00 UTC, and clients reject it: renew it'],
  ],
];
for (const [title, ends, lines] of certificates) {
  test(`certificate: ${title}`, () => {
    const services = ends.map((end, pid) => ({
      ...service,
      pid,
      ...(end !== undefined && { certificateEnds: end }),
    }));
    assert.deepEqual(lineOf('certificate', { services }), lines);
  });
}

test('the versions of the services are shown once each: those of an upgrade are two', () => {
  const of = (...versions: string[]) => ({ services: versions.map((version) => ({ ...service, version })) });
  assert.deepEqual(lineOf('version', of('1.2.0', '1.2.0')), ['version 1.2.0']);
  assert.deepEqual(lineOf('version', of('1.3.0', '1.2.0', '1.3.0')), ['version 1.2.0 and 1.3.0']);
  assert.deepEqual(lineOf('version', { services: [service] }), []);
});

const syncer = (more: Partial<SyncerStatus>): SyncerStatus => ({
  instance: 's',
  host: 'a',
  pid: 1,
  coordinates: false,
  count: 0,
  transfers: [],
  ...more,
});
const rates: [title: string, syncers: SyncerStatus[], lines: string[]][] = [
  ['no syncer reports a rate, as one of an earlier version', [syncer({ coordinates: true })], []],
  [
    'nothing moves, and there is no limit',
    [syncer({ coordinates: true, rate: { down: 0, up: 0 } })],
    ['bandwidth: no limit; now nothing'],
  ],
  [
    'the limit is in bits a second, as it is configured, the rate in bytes',
    [syncer({ coordinates: true, limit: 250_000, rate: { down: 240_000, up: 8_000 } })],
    ['bandwidth: limit 2 Mbit/s; now 240 kB/s down, 8.0 kB/s up'],
  ],
  [
    'one direction only',
    [syncer({ coordinates: true, rate: { down: 0, up: 1_250_000 } })],
    ['bandwidth: no limit; now 1.3 MB/s up'],
  ],
  [
    'rates of all syncers are added up, and the limit is that of the coordinator',
    [
      syncer({ rate: { down: 1_000_000, up: 0 }, limit: 1 }),
      syncer({ coordinates: true, rate: { down: 500_000, up: 0 }, limit: 12_500_000 }),
    ],
    ['bandwidth: limit 100 Mbit/s; now 1.5 MB/s down'],
  ],
  [
    'without a coordinator, as during a takeover, the limit is not known',
    [syncer({ rate: { down: 1_000, up: 0 } })],
    ['bandwidth: limit not known; now 1.0 kB/s down'],
  ],
];
for (const [title, syncers, lines] of rates) {
  test(`bandwidth: ${title}`, () => assert.deepEqual(lineOf('bandwidth', { syncers }), lines));
}

const savings = {
  ...{ since: now - 3 * DAY, saved: 1_200_000_000, crossed: 300_000_000, transfers: 13 },
  ...{ mismatched: 0, cpuMs: 40_000 },
};

test('what deltas saved is one line, once they saved anything', () => {
  assert.deepEqual(lineOf('saved', { savings }), [
    'saved by deltas: 1.2 GB of 1.5 GB (80 %) in 13 transfers, since 3 d; CPU 40 s',
  ]);
  assert.deepEqual(lineOf('saved', { savings: { ...savings, transfers: 0 } }), []);
  assert.deepEqual(lineOf('saved', {}), []);
});

test('deltas that are kept, and pairs that get none, are one line, if there are any', () => {
  const held = {
    ...{ repositories: 1, tags: 1, blobs: 1, bytes: 1, tokens: 1, scopeMaps: 0, damaged: 0, ingests: [] },
    ...{ space: { free: 9, reserve: 1, low: false }, outgoing: { unsent: 0, withdrawn: 0, parked: 0 } },
  };
  const linesWith = (deltas?: { count: number; bytes: number; refused: number }) =>
    textOf({ storage: { ...held, ...(deltas && { deltas }) } })
      .split('\n')
      .filter((line) => line.startsWith('Deltas'));
  assert.deepEqual(linesWith(), []);
  assert.deepEqual(linesWith({ count: 12, bytes: 84_000_000, refused: 0 }), [
    'Deltas kept for the layers below: 12 of 84.0 MB, of 2.1 GB at most',
  ]);
  assert.deepEqual(linesWith({ count: 0, bytes: 0, refused: 1 }), [
    'Deltas kept for the layers below: 0 of 0 B, of 2.1 GB at most; 1 pair of content gets none',
  ]);
});
