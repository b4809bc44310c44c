import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChildReport } from '#proto/status/layers-below.ts';
import { currentLayers, MAX_CONTACT_GAP_MS, NOT_SEEN } from '#proto/status/presence.ts';
import type { LinkStatus } from '#proto/status/status.ts';

const SEEN = Date.UTC(2030, 0, 1);
const link = (more: Partial<LinkStatus> = {}): LinkStatus => ({
  state: 'Online',
  since: 1,
  lastSync: 2,
  coordinator: 's',
  live: true,
  ...more,
});
const report = (more: Partial<LinkStatus> = {}): ChildReport => ({
  seen: SEEN,
  layers: [
    { path: [], name: 'line', mode: 'ReadOnly', at: 0, link: link(more) },
    { path: ['cell'], name: 'cell', mode: 'ReadOnly', at: 0, link: link() },
    { path: ['alone'], name: 'alone', mode: 'ReadWrite', at: 0 },
  ],
});
const states = (layers: ChildReport, seen: number | undefined, now: number) =>
  currentLayers(layers, seen === undefined ? undefined : { seen }, now).layers.map(
    (layer) => layer.link?.state,
  );

test('the last report of a child is valid while the child renews its open request', () => {
  const late = SEEN + 3_600_000;
  assert.deepEqual(currentLayers(report(), { seen: late }, late + MAX_CONTACT_GAP_MS), {
    seen: late,
    layers: report().layers,
  });
  assert.deepEqual(states(report(), undefined, SEEN + MAX_CONTACT_GAP_MS), ['Online', 'Online', undefined]);
});

test('a child that no longer renews its open request is cut off, as are the layers below it', () => {
  const { seen, layers } = currentLayers(report(), { seen: SEEN + 1_000 }, SEEN + 1_001 + MAX_CONTACT_GAP_MS);
  assert.equal(seen, SEEN + 1_000);
  const detail = 'no contact since 2030-01-01T00:00:01.000Z';
  const offline = { state: 'Offline', since: seen, detail, code: NOT_SEEN, coordinator: 's', lastSync: 2 };
  assert.deepEqual(
    layers.map((layer) => layer.link),
    [offline, offline, undefined],
  );
});

test('a child that is not live, or whose window has ended, is not expected to renew a request', () => {
  const late = SEEN + 86_400_000;
  const { live: _live, ...hourly } = link();
  const [own, ...others] = report().layers as [ChildReport['layers'][0], ...ChildReport['layers']];
  assert.deepEqual(states({ seen: SEEN, layers: [{ ...own, link: hourly }, ...others] }, undefined, late), [
    'Online',
    'Online',
    undefined,
  ]);
  const window = { open: true, until: SEEN + 60_000 };
  assert.deepEqual(states(report({ window }), undefined, late), ['Online', 'Online', undefined]);
});

test('a time in the future, from before the clock was set back, shows no contact', () => {
  const now = SEEN - 56 * 365 * 86_400_000;
  assert.deepEqual(states(report(), SEEN, now), ['Offline', 'Offline', undefined]);
  assert.deepEqual(states(report(), now - 1_000, now), ['Online', 'Online', undefined]);
});
