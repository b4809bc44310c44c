import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALREADY_ACTIVATED } from '#proto/accounts/children.ts';
import type { LinkStatus } from '#proto/status/status.ts';
import type { PassResult } from '#proto/sync/passes.ts';
import type { SyncFigure } from '#proto/sync/sync-figure.ts';
import { activationRefused as activatedElsewhere } from '../../../services/syncer/link/terrace/activation.ts';
import { fit, MAX_BYTES } from '../../../services/twin-bridge/report/fit.ts';
import type { LayerView } from '../../../services/twin-bridge/report/layer-view.ts';
import { coarse, type LayerFacts, reportedOf } from '../../../services/twin-bridge/report/reported.ts';
import { configurationWith } from '../../support/configuration.ts';

const NOW = Date.UTC(2030, 0, 1);
const storage: NonNullable<LayerView['storage']> = {
  repositories: 2,
  tags: 3,
  blobs: 7,
  bytes: 123_456_789,
  tokens: 1,
  scopeMaps: 0,
  damaged: 0,
  space: { free: 9_876_543_210, reserve: 1, low: false },
  outgoing: { unsent: 4, withdrawn: 0, parked: 0 },
  ingests: [],
};
const link = (more: Partial<LinkStatus> = {}): LinkStatus => ({
  state: 'Online',
  since: NOW,
  lastSync: NOW - 60_000,
  coordinator: 'syncer-1',
  ...more,
});
const SYNCER = { instance: 'syncer-1', host: 'a', pid: 1, coordinates: true, count: 0, transfers: [] };
const seen = (more: Partial<LayerView> = {}): LayerView => ({
  configuration: configurationWith({ parent: { url: 'https://up.example' }, mode: 'ReadOnly' }),
  link: link(),
  syncers: [SYNCER],
  storage,
  children: [],
  below: new Map(),
  unreadable: [],
  ...more,
});
const reported = (more: Partial<LayerFacts> = {}) =>
  reportedOf({
    seen: seen(),
    desired: { version: 4, state: 'applied', complaints: [] },
    pass: undefined,
    version: '1.2.3',
    since: new Map(),
    now: NOW,
    ...more,
  });

test('a layer without problems is Online, and reports its figures', () => {
  assert.deepEqual(reported(), {
    version: '1.2.3',
    connectionState: 'Online',
    statusDetails: [],
    lastSyncTime: '2029-12-31T23:59:00.000Z',
    name: 'layer',
    mode: 'ReadOnly',
    parent: { url: 'https://up.example' },
    activation: { status: 'Active' },
    desired: { version: 4, state: 'applied', complaints: [] },
    storage: {
      repositories: 2,
      tags: 3,
      blobs: 7,
      bytes: 120_000_000,
      free: 9_900_000_000,
      tokens: 1,
      unsent: 0,
    },
    children: { count: 0, states: {} },
    syncers: 1,
  });
});

test('states are those of the connected registry, and a connected layer with a problem is Unhealthy', () => {
  const stateOf = (more: Partial<LayerView>) => reported({ seen: seen(more) }).connectionState;
  assert.equal(stateOf({}), 'Online');
  assert.equal(stateOf({ link: link({ state: 'Syncing' }) }), 'Syncing');
  assert.equal(stateOf({ link: link({ state: 'Offline', detail: 'away' }) }), 'Offline');
  assert.equal(stateOf({ storage: { ...storage, space: { free: 0, reserve: 1, low: true } } }), 'Unhealthy');
  assert.equal(stateOf({ syncers: [] }), 'Offline', 'no syncer updates the state');
  const { link: _link, ...untried } = seen();
  assert.equal(reported({ seen: untried }).connectionState, 'Offline');
  assert.equal(
    reported({ seen: { ...untried, configuration: configurationWith({}) } }).connectionState,
    'Online',
  );
});

test('problems are reported with type, code and start time', () => {
  const details = (more: Partial<LayerView>, rest: Partial<LayerFacts> = {}) =>
    (reported({ seen: seen(more), ...rest }).statusDetails as { code: string }[]).map(({ code }) => code);
  const low = { ...storage, space: { free: 0, reserve: 1, low: true } };
  assert.deepEqual(
    reported({ seen: seen({ storage: low }), since: new Map([['DiskError', NOW - 1_000]]) }).statusDetails,
    [
      {
        type: 'Disk',
        code: 'DiskError',
        description:
          'No space left on device: no new content is accepted until space is freed on the data volume',
        timestamp: '2029-12-31T23:59:59.000Z',
      },
    ],
  );
  assert.deepEqual(details({ storage: { ...storage, damaged: 1 } }), ['ContentDamaged']);
  assert.deepEqual(details({ syncers: [] }), ['SyncerSilent']);
  // States of syncers and children come from storage, too: its silence is the only problem that is reported.
  const silent = seen({ link: link({ state: 'Unhealthy' }) });
  for (const field of ['storage', 'syncers', 'children'] as const) delete silent[field];
  const silentReport = reported({ seen: silent });
  assert.deepEqual(
    [
      (silentReport.statusDetails as { code: string }[]).map(({ code }) => code),
      silentReport.children,
      silentReport.syncers,
    ],
    [['StorageSilent'], undefined, undefined],
  );
  assert.deepEqual(details({ link: link({ state: 'Unhealthy', detail: 'a:1: gone' }) }), ['SyncIncomplete']);
  assert.deepEqual(details({ link: link({ state: 'Offline', detail: 'away' }) }), ['ParentOffline']);
  assert.deepEqual(details({ storage: { ...storage, accounts: ['x'] } }), ['AccountNotAsDeclared']);
  const refused = { desired: { version: 5, state: 'refused' as const, complaints: ['mode: no'] } };
  assert.deepEqual(details({}, refused), ['DesiredRefused']);
  const inactive = reported({
    seen: seen({
      link: link({
        state: 'Unhealthy',
        detail: activatedElsewhere('line-1', { since: 1 }).message,
        code: 'already-activated',
      }),
    }),
  });
  assert.deepEqual(inactive.activation, { status: 'Inactive' });
  // Only the code counts: the same sentence may be the reason of another fault.
  const quoted = reported({ seen: seen({ link: link({ state: 'Unhealthy', detail: ALREADY_ACTIVATED }) }) });
  assert.deepEqual(quoted.activation, { status: 'Active' });
});

test('the last pass is reported with its failures', () => {
  const result: PassResult = {
    pass: 'p',
    ok: false,
    taken: 1,
    dropped: 0,
    sent: 0,
    withdrawn: 0,
    failed: 1,
    parked: 0,
    failures: [{ repository: 'app', tag: '1', code: 'parent-invalid', reason: 'no manifest' }],
    ms: 5,
  };
  const pass = { pass: 'p', cause: 'schedule', started: NOW - 5, ended: NOW, result, succeeded: NOW - 100 };
  const { syncState, failures, lastSuccessfulSyncEndTime } = reported({ pass }).registrySyncResult as never;
  assert.deepEqual(
    [syncState, failures, lastSuccessfulSyncEndTime],
    ['Failed', ['app:1 no manifest (parent-invalid)'], '2029-12-31T23:59:59.900Z'],
  );
  const syncing = reported({ pass: { pass: 'p', started: NOW } }).registrySyncResult as { syncState: string };
  assert.equal(syncing.syncState, 'Syncing');
});

test('layers below are reported with their number and states', () => {
  const child = (name: string, at = NOW) => ({ name, instance: 'i', since: 0, seen: at });
  const report = {
    path: [],
    name: 'b',
    mode: 'ReadOnly' as const,
    at: NOW,
    link: link({ state: 'Offline' }),
  };
  const children = [child('a'), child('b'), child('c', NOW - 3_600_000)];
  const below = new Map([['b', { seen: NOW, layers: [report] }]]);
  assert.deepEqual(reported({ seen: seen({ children, below }) }).children, {
    count: 3,
    states: { a: 'Online', b: 'Offline', c: 'Silent' },
  });
});

test('a report of any size is cut to the limit of a twin, and holds no secret', () => {
  const long = 'ä'.repeat(5_000);
  const name = (at: number) => `child-with-a-long-name-of-${at}`.padEnd(63, 'x');
  const children = Array.from({ length: 500 }, (_, at) => ({
    name: name(at),
    instance: 'i',
    since: 0,
    seen: NOW,
  }));
  const complaints = Array.from({ length: 100 }, () => long);
  const parent = { url: 'https://up.example', username: 'someone', passwordFile: '/run/secret' };
  const all = reported({
    seen: seen({
      children,
      configuration: configurationWith({ parent }),
      storage: { ...storage, accounts: complaints },
    }),
    desired: { version: 1, state: 'refused', complaints },
  });
  for (const max of [MAX_BYTES, 6_000, 4_000]) {
    const some = fit(all, max);
    assert.ok(Buffer.byteLength(JSON.stringify(some)) <= max);
    assert.equal(some.truncated, max < MAX_BYTES ? true : undefined);
  }
  const complete = fit(all);
  assert.doesNotMatch(JSON.stringify(complete), /someone|secret/);
  assert.equal(fit(reported()).truncated, undefined);
  const keys = JSON.stringify(complete).match(/"([^"]+)":/g) ?? [];
  assert.ok(keys.every((key) => !/[.#$\s]/.test(key)));
});

test('figures are rounded to two significant digits', () => {
  assert.deepEqual([0, 7, 99, 101, 123_456, 999_999].map(coarse), [0, 7, 99, 100, 120_000, 1_000_000]);
});

test('a refused history and unreadable states are reported as problems', () => {
  const last = {
    sequence: 7,
    id: 'a-7',
    type: 'terrace.tag.moved',
    code: 'malformed',
    reason: '/x: no',
    at: NOW,
  };
  const details = reported({
    seen: seen({
      history: { since: NOW, count: 3, last },
      unreadable: [{ bucket: 'layers', key: 'line', reason: '/seen: Expected integer' }],
    }),
  }).statusDetails as { code: string; description: string }[];
  assert.deepEqual(
    details.map(({ code, description }) => [code, description]),
    [
      ['HistoryRefused', 'the parent refused 3 events of the history: /x: no'],
      ['StateUnreadable', "the state layers.line can't be read: /seen: Expected integer"],
    ],
  );
});

test('what clients pushed into repositories that no selection covers is reported with their names', () => {
  const outgoing = { ...storage.outgoing, kept: 3, keptIn: ['spare'] };
  const of = (mode: 'ReadWrite' | 'ReadOnly') => {
    const configuration = configurationWith({ mode, parent: { url: 'https://up.example' } });
    return reported({ seen: seen({ configuration, storage: { ...storage, outgoing } }) });
  };
  const { storage: content, connectionState } = of('ReadWrite') as {
    storage: { unselected: unknown };
    connectionState: string;
  };
  assert.deepEqual(content.unselected, { manifests: 3, repositories: ['spare'] });
  assert.equal(connectionState, 'Online');
  assert.equal((of('ReadOnly').storage as typeof content).unselected, undefined);
});

test('one thing is reported in the singular, several in the plural', () => {
  const textsOf = (count: number) => {
    const outgoing = { unsent: 0, withdrawn: 0, parked: count };
    const configuration = configurationWith({ parent: { url: 'https://up.example' }, mode: 'ReadWrite' });
    const last = { code: 'denied', reason: 'no', at: NOW, type: 'tag.moved' };
    const history = { count, last } as unknown as NonNullable<LayerView['history']>;
    const facts = seen({ configuration, storage: { ...storage, damaged: count, outgoing }, history });
    const details = reported({ seen: facts }).statusDetails as { description: string }[];
    return details.map(({ description }) => description);
  };
  assert.deepEqual(textsOf(1), [
    '1 blob is damaged until it is fetched from the parent or pushed again',
    'the parent refused 1 change; it is retried',
    'the parent refused 1 event of the history: no',
  ]);
  assert.deepEqual(textsOf(2), [
    '2 blobs are damaged until they are fetched from the parent or pushed again',
    'the parent refused 2 changes; they are retried',
    'the parent refused 2 events of the history: no',
  ]);
});

test('the figure counts the repositories that could not be compared', () => {
  const sync: SyncFigure = {
    state: 'unknown',
    asOf: NOW,
    behind: { tags: 0, bytes: 0, unsized: 0, failed: 0 },
    ahead: { tags: 0, manifests: 0, deletions: 0, parked: 0 },
    conflicts: 0,
    leftOut: 0,
  };
  const figureOf = (more: object) => reported({ seen: seen({ sync: { ...sync, ...more } }) }).sync as object;
  assert.deepEqual(figureOf({ uncompared: 2 }), { ...figureOf({}), uncompared: 2 });
});
