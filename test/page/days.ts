import type { Accounts } from '#proto/api/accounts.ts';
import type { ConfigurationAnswer } from '#proto/api/configuration.ts';
import type { Layer, Problem } from '#proto/api/layer.ts';
import type { LayerBelow, Layers } from '#proto/api/layers.ts';
import type { Link, Passes, Throughput } from '#proto/api/link.ts';
import type { ParkedList } from '#proto/api/pending.ts';
import type { Transfers } from '#proto/api/transfers.ts';
import type { LinkStatus } from '#proto/status/status.ts';
import type { SyncFigure } from '#proto/sync/sync-figure.ts';
import { digestOf } from './digests.ts';
import { accounts, configuration } from './settings.ts';

/** Answers of the operator's API on a good and on a bad day, for tests of the page without a layer. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const GB = 1e9;

export type Day = {
  layer: Layer;
  link: Link;
  layers: Layers;
  transfers: Transfers;
  throughput: Throughput;
  parked: ParkedList;
  passes: Passes;
  accounts: Accounts;
  configuration: ConfigurationAnswer;
};

const figure = (state: SyncFigure['state'], now: number, more: Partial<SyncFigure> = {}): SyncFigure => ({
  state,
  asOf: now - 18_000,
  behind: { tags: 0, bytes: 0, unsized: 0, failed: 0 },
  ahead: { tags: 1, manifests: 0, deletions: 0, parked: 0 },
  conflicts: 0,
  leftOut: 0,
  ...more,
});

const online = (now: number, ago: number): LinkStatus => ({
  state: 'Online',
  since: now - 26 * HOUR,
  lastSync: now - ago,
  coordinator: 'syncer-1',
  live: true,
});

const child = (path: string[], now: number, more: Partial<LayerBelow>): LayerBelow => ({
  path,
  name: path.at(-1) ?? '',
  mode: 'ReadOnly',
  seen: now - 9_000,
  held: { repositories: 18, tags: 240, blobs: 1_900, bytes: 61 * GB },
  link: online(now, 24_000),
  sync: figure('in-sync', now),
  children: [],
  ...more,
});

function below(now: number, isBad: boolean): LayerBelow[] {
  const cell = (name: string, more: Partial<LayerBelow> = {}) => child(['packaging', name], now, more);
  const cutOff: LinkStatus = {
    state: 'Offline',
    since: now - 3 * HOUR,
    lastSync: now - 3 * HOUR - 40_000,
    coordinator: 'syncer-9',
    code: 'not-heard',
    detail: 'no contact since 2026-11-30T06:11:40.000Z',
  };
  const behind = figure('behind', now, {
    behind: { tags: 4, bytes: 0.82 * GB, unsized: 0, failed: 0, since: now - HOUR },
  });
  return [
    child(['packaging'], now, {
      mode: 'ReadWrite',
      children: [cell('cell-1'), cell('cell-2', isBad ? { link: cutOff } : {}), cell('cell-3')],
    }),
    child(['filling'], now, isBad ? { link: { ...online(now, 5_000), state: 'Syncing' }, sync: behind } : {}),
    child(
      ['warehouse'],
      now,
      isBad ? { link: cutOff, sync: figure('in-sync', now), seen: now - 3 * HOUR } : {},
    ),
  ];
}

const problems = (now: number): Problem[] => [
  {
    code: 'space-low',
    severity: 'error',
    what: 'The data volume has 412 MB free, less than the reserve of 537 MB: no new content is accepted.',
    remedy: 'Free or add disk space, or collect garbage; reads continue meanwhile.',
    since: now - 22 * MINUTE,
  },
  {
    code: 'changes-parked',
    severity: 'error',
    what: 'The parent refuses one change: line/plc-config:7.',
    remedy:
      'Give the account line-3 the right content/write on line/* at the parent, or delete the tag here; then retry.',
    since: now - 50 * MINUTE,
  },
  {
    code: 'layer-cut-off',
    severity: 'error',
    what: 'The layer warehouse has had no contact for 3 h.',
    remedy: 'Check the network between this layer and warehouse, and whether its machine runs.',
    since: now - 3 * HOUR,
    subject: 'warehouse',
  },
  {
    code: 'content-left-out',
    severity: 'warning',
    what: '1 of 310 images lacks a referrer: the signature of line/web:2 is not at the parent.',
    remedy: 'Push the signature to the parent again, or leave referrers of line/web out of the selection.',
  },
];

export function day(kind: 'good' | 'bad', now = Date.now()): Day {
  const isBad = kind === 'bad';
  const sync = isBad
    ? figure('diverged', now, {
        behind: { tags: 3, bytes: 1.24 * GB, unsized: 0, failed: 0, since: now - 12 * MINUTE },
        ahead: { tags: 1, manifests: 2, deletions: 0, parked: 1 },
        until: now + 6 * MINUTE,
        rate: 3_400_000,
        conflicts: 1,
        leftOut: 1,
      })
    : figure('in-sync', now);
  const status: LinkStatus = isBad ? { ...online(now, 12 * MINUTE), state: 'Syncing' } : online(now, 18_000);
  const parent = { url: 'https://site.example.com', username: 'line-3' };
  const layers = below(now, isBad);
  return {
    layer: {
      name: 'line-3',
      version: '0.1.0',
      mode: 'ReadWrite',
      url: 'https://line-3.plant.example:5000',
      parent,
      started: now - 26 * HOUR,
      now,
      link: status,
      linkKnown: true,
      sync,
      held: { repositories: 42, tags: 310, blobs: 2_240, bytes: isBad ? 119 * GB : 84 * GB },
      space: isBad
        ? { free: 412e6, reserve: 536_870_912, low: true }
        : { free: 36 * GB, reserve: 536_870_912, low: false },
      savings: {
        since: now - 26 * HOUR,
        ...(isBad
          ? { saved: 4.12 * GB, crossed: 0.61 * GB, transfers: 61 }
          : { saved: 0, crossed: 0, transfers: 0 }),
        ...{ mismatched: 0, cpuMs: 214_000 },
      },
      ...(isBad && { deltas: { count: 23, bytes: 318e6, limit: 2_147_483_648, refused: 4 } }),
      tokens: 4,
      children: { count: 3, connected: isBad ? 2 : 3 },
      problems: isBad ? problems(now) : [],
      services: ['gateway', 'storage', 'syncer', 'twin-bridge'].map((service, index) => ({
        service,
        instance: `${service}-1`,
        host: 'line-3',
        pid: 400 + index,
        started: now - 26 * HOUR,
        memory: 74e6 + index * 9e6,
      })),
      coordinator: 'syncer-1',
      silent: [],
    },
    link: {
      parent,
      status,
      known: true,
      coordinator: 'syncer-1',
      schedule: '* * * * *',
      bandwidth: isBad ? [{ limit: 4_000_000, inForce: true }] : [],
    },
    layers: { items: layers, count: 6, more: false },
    transfers: isBad ? busyTransfers() : { images: [], items: [], transfers: [], rate: { down: 0, up: 0 } },
    throughput: throughput(now, isBad),
    parked: { items: isBad ? [parkedChange(now)] : [] },
    passes: passes(now, isBad),
    accounts: accounts(now),
    configuration: configuration(),
  };
}

const parkedChange = (now: number): ParkedList['items'][number] => ({
  repository: 'line/plc-config',
  reference: '7',
  digest: digestOf(7),
  code: 'denied',
  reason: 'the parent answers 403: line-3 may not write line/plc-config',
  since: now - 50 * MINUTE,
  attempts: 4,
  retry: now + 14 * MINUTE,
});

const busyTransfers = (): Transfers => ({
  items: [],
  images: [
    {
      repository: 'line/web',
      tag: '2',
      direction: 'down',
      blobs: 2,
      bytes: 31e6,
      done: 12e6,
      saved: 371e6,
      rate: 2_100_000,
      left: 9,
      by: ['syncer-1'],
    },
    {
      repository: 'line/vision/model',
      tag: '2026-11',
      direction: 'down',
      blobs: 1,
      bytes: 838e6,
      done: 96e6,
      rate: 1_300_000,
      left: 571,
      by: ['syncer-1', 'syncer-2'],
    },
    {
      repository: 'line/recipes',
      tag: '118',
      direction: 'up',
      blobs: 1,
      bytes: 12e6,
      done: 0,
      by: ['syncer-2'],
    },
  ],
  transfers: [],
  rate: { down: 3_400_000, up: 0 },
});

function throughput(now: number, isBad: boolean): Throughput {
  const interval = 10_000;
  const points = Array.from({ length: 360 }, (_, index) => {
    const wave = Math.max(0, Math.sin(index / 23) + 0.5 * Math.sin(index / 7.3));
    const isCut = isBad && index > 190 && index < 262;
    const down = isCut ? 0 : Math.round((isBad ? 2.9e7 : 0.7e7) * wave);
    return {
      at: now - (360 - index) * interval,
      down,
      up: isCut ? 0 : Math.round(3e6 * Math.max(0, Math.sin(index / 41) - 0.6)),
    };
  });
  return { interval, points };
}

const passes = (now: number, isBad: boolean): Passes => ({
  items: Array.from({ length: 6 }, (_, index) => {
    const isParked = isBad && index < 2;
    return {
      sequence: 4_200 - index * 31,
      finished: now - index * 14 * MINUTE - 18_000,
      cause: index === 3 ? 'requested by operator' : 'the parent reported a change',
      coordinator: 'syncer-1',
      result: {
        pass: `01JDT2K0PASS${index}`,
        ok: !isParked,
        taken: (index * 3) % 5,
        dropped: 0,
        sent: index === 2 ? 2 : 0,
        withdrawn: 0,
        failed: 0,
        parked: isParked ? 1 : 0,
        ms: 4_200 + index * 310,
        failures: isParked
          ? [
              {
                repository: 'line/plc-config',
                tag: '7',
                code: 'denied',
                reason: 'the parent answers 403: line-3 may not write line/plc-config',
              },
            ]
          : [],
      },
    };
  }),
});
