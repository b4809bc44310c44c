import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countLayers, rowsOf, summaryOf, syncView, toneOf } from '../../page/state/layer-tree.ts';
import { hrefOf, parseRoute, type Route } from '../../page/state/routes.ts';
import { day } from './days.ts';

const { items } = day('bad').layers;

test('a tree is shown parents first, and a folded layer counts what it hides', () => {
  assert.deepEqual(
    rowsOf(items, new Set()).map(({ key, depth }) => `${depth} ${key}`),
    [
      '0 packaging',
      '1 packaging/cell-1',
      '1 packaging/cell-2',
      '1 packaging/cell-3',
      '0 filling',
      '0 warehouse',
    ],
  );
  const [first, second] = rowsOf(items, new Set(['packaging']));
  assert.deepEqual([first?.isOpen, first?.hidden, second?.key], [false, 3, 'filling']);
  assert.equal(countLayers(items), 6);
});

test('a layer that is cut off is not in sync, although it was when it reported last', () => {
  assert.deepEqual(summaryOf(items), { layers: 6, inSync: 3, cutOff: 2, tone: 'error' });
  assert.deepEqual(items.map(toneOf), ['good', 'busy', 'error']);
  const none = { tags: 0, manifests: 0, deletions: 0, parked: 0 };
  const behind = { tags: 0, bytes: 0, unsized: 0, failed: 0 };
  const sync = { state: 'in-sync', behind, ahead: none, conflicts: 0, leftOut: 0 } as const;
  const now = Date.UTC(2030, 0, 1);
  const link = { state: 'Offline', since: now - 7_200_000, coordinator: 's', code: 'not-heard' } as const;
  // The clock of the layer below is 10 years behind.
  const at = Date.UTC(2020, 0, 1);
  const layer = { path: ['cell'], name: 'cell', children: [], seen: now - 60_000, at, link };
  assert.deepEqual(syncView({ ...layer, sync: { ...sync, asOf: at - 3_600_000 } }, now), {
    ...{ tone: 'warning', word: 'Was in sync, as of 3 h ago' },
  });
  const online = { ...layer, link: { ...link, state: 'Online' } as const, sync };
  assert.deepEqual(syncView(online, now), { tone: 'good', word: 'In sync' });
  assert.equal(syncView(layer, now).word, 'Not reported');
});

test('an address names a view, and a view its address', () => {
  const routes: Exclude<Route, { view: 'unknown' }>[] = [
    { view: 'overview' },
    { view: 'repositories', match: 'we b', state: 'behind' },
    { view: 'repository', repository: 'line/web', differing: true },
    { view: 'manifest', repository: 'line/web', reference: `sha256:${'0'.repeat(64)}` },
    { view: 'events', type: 'tag.moved,link.changed', layer: 'line-3', since: '42' },
    { view: 'layers' },
    { view: 'accounts' },
    { view: 'settings' },
  ];
  for (const route of routes) assert.deepEqual(parseRoute(hrefOf(route)), route);
  assert.deepEqual(parseRoute(''), { view: 'overview' });
  assert.deepEqual(parseRoute('#/nowhere/x'), { view: 'unknown', path: 'nowhere/x' });
  assert.deepEqual(parseRoute('#/repositories/%E0%A4%A'), {
    view: 'repository',
    repository: '%E0%A4%A',
    differing: false,
  });
});
