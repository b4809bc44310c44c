import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Layer } from '#proto/api/layer.ts';
import type { LinkStatus } from '#proto/status/status.ts';
import type { SyncFigure } from '#proto/sync/sync-figure.ts';
import { lastSyncText, linkView, scheduleText } from '../../page/state/link-view.ts';
import { figureText, verdictOf } from '../../page/state/verdict.ts';

const now = Date.parse('2026-11-30T12:00:00Z');
const parent = { url: 'https://site' };
const link = (more: Partial<LinkStatus> = {}): LinkStatus => ({
  state: 'Online',
  since: now - 1_000,
  coordinator: 'syncer-1',
  ...more,
});
const sync = (state: SyncFigure['state'], more: Partial<SyncFigure> = {}): SyncFigure => ({
  state,
  asOf: now - 18_000,
  behind: { tags: 0, bytes: 0, unsized: 0, failed: 0 },
  ahead: { tags: 0, manifests: 0, deletions: 0, parked: 0 },
  conflicts: 0,
  leftOut: 0,
  ...more,
});
const verdict = (layer: Partial<Layer>) =>
  verdictOf({ mode: 'ReadWrite', parent, link: link(), ...layer }, now);

test('a layer is in sync only while its parent answers', () => {
  assert.equal(verdict({ sync: sync('in-sync') }).headline, 'In sync');
  assert.equal(verdict({ sync: sync('in-sync') }).tone, 'good');
  for (const cut of [{ link: link({ state: 'Offline' }) }, { linkKnown: false }] satisfies Partial<Layer>[]) {
    const { headline, tone, detail } = verdict({ sync: sync('in-sync'), ...cut });
    assert.equal(headline, 'Was in sync');
    assert.equal(tone, 'warning');
    assert.match(detail, /as of 18 s ago/);
  }
});

test('without a figure, or before the first comparison, nothing is claimed', () => {
  assert.equal(verdict({}).tone, 'unknown');
  assert.equal(verdict({ sync: sync('unknown') }).tone, 'unknown');
  assert.equal(verdictOf({ mode: 'ReadWrite' }, now).headline, 'Top layer');
});

test('a layer whose storage does not answer is no top layer, and in sync with nothing', () => {
  const silent = ['storage'];
  for (const layer of [{}, { mode: 'ReadWrite', parent }] satisfies Partial<Layer>[]) {
    const { tone, headline, detail } = verdictOf({ ...layer, silent }, now);
    assert.deepEqual([tone, headline], ['unknown', 'Not known']);
    assert.match(detail, /: storage does not answer\.$/);
  }
  assert.equal(verdictOf({ silent: ['syncer'] }, now).headline, 'Not known');
  assert.equal(verdictOf({ mode: 'ReadOnly', silent }, now).headline, 'Top layer');
});

test('what keeps a verdict from being current is named; a comparison that failed in part, too', () => {
  const paused = { since: now, by: 'ops' };
  const rows: [Partial<Layer>, RegExp][] = [
    [{ link: link({ state: 'Offline' }) }, /^The parent does not answer, so/],
    [{ link: link({ state: 'Offline', code: 'paused', paused }) }, /^The link is paused, so/],
    [{ link: link({ state: 'Offline', code: 'window-closed' }) }, /^The window of the link is closed, so/],
    [{ linkKnown: false }, /^No syncer answers, so/],
  ];
  for (const [layer, detail] of rows)
    assert.match(verdict({ sync: sync('in-sync'), ...layer }).detail, detail);
  const unhealthy = link({ state: 'Unhealthy' });
  const detailOf = (figure: SyncFigure) => verdict({ sync: figure, link: unhealthy }).detail;
  assert.equal(
    detailOf(sync('unknown', { asOf: now - 43_200_000 })),
    'The last comparison failed in part; the last complete one was 12 h ago.',
  );
  const behind = {
    ...sync('behind', { uncompared: 2 }),
    behind: { tags: 1, bytes: 0, unsized: 0, failed: 0 },
  };
  assert.match(detailOf(behind), /; 2 repositories could not be compared in the last comparison$/);
  assert.equal(
    detailOf(sync('unknown', { asOf: now - 43_200_000, uncompared: 1 })),
    '1 repository could not be compared in the last comparison; the last complete one was 12 h ago.',
  );
  const { asOf: _, ...never } = sync('unknown');
  assert.equal(detailOf(never), 'It was not compared with its parent yet.');
});

test('a layer that is behind says what is missing and until when', () => {
  const behind = { tags: 3, bytes: 1.24e9, unsized: 1, failed: 0 };
  const found = verdict({ sync: sync('behind', { behind, until: now + 360_000 }) });
  assert.equal(found.headline, 'Behind by 3 tags');
  assert.equal(found.detail, '3 tags missing, at least 1.2 GB to transfer');
  assert.match(found.until ?? '', /^done at about \d\d:\d\d, in 6 min$/);
  assert.equal(found.tone, 'busy');
  const failed = { ...behind, failed: 2 };
  assert.equal(verdict({ sync: sync('behind', { behind: failed }) }).tone, 'error');
});

test('what the parent refused makes a layer that is ahead one that needs a person', () => {
  const ahead = { tags: 3, manifests: 2, deletions: 1, parked: 1 };
  const found = verdict({ sync: sync('ahead', { ahead }) });
  assert.equal(found.detail, '2 manifests to push, 1 deletion to push, 1 refused by the parent');
  assert.equal(found.tone, 'error');
  assert.equal(
    figureText(sync('ahead', { ahead: { ...ahead, parked: 0 } })),
    '2 manifests to push, 1 deletion to push',
  );
  // A tag moved to a manifest that the parent has.
  assert.equal(
    figureText(sync('ahead', { ahead: { ...ahead, manifests: 0, deletions: 0, parked: 0 } })),
    '3 tags to push',
  );
  assert.equal(figureText(sync('in-sync')), 'In sync');
});

test('a link has one tone and word for each of its states', () => {
  const rows: [Parameters<typeof linkView>, string, string][] = [
    [[link()], 'good', 'Online'],
    [[link({ code: 'changes-parked' })], 'warning', 'Online'],
    [[link({ state: 'Syncing' })], 'busy', 'Syncing'],
    [[link({ state: 'Offline' })], 'error', 'Offline'],
    [[link({ state: 'Offline', code: 'not-heard' })], 'error', 'Cut off'],
    [[link({ state: 'Offline', code: 'window-closed' })], 'quiet', 'Window closed'],
    [[link({ state: 'Offline', paused: { since: now, by: 'ops' } })], 'warning', 'Paused'],
    [[link({ state: 'Unhealthy' })], 'error', 'Unhealthy'],
    [[link({ window: { open: false, until: now } })], 'quiet', 'Window closed'],
    [[undefined], 'unknown', 'Not tried yet'],
    [[link(), { known: false }], 'unknown', 'Unknown'],
    [[link(), { paused: { since: now, by: 'ops' } }], 'warning', 'Paused'],
  ];
  for (const [given, tone, label] of rows) {
    const found = linkView(...given);
    assert.deepEqual([found.tone, found.label], [tone, label]);
  }
});

test('a layer whose passes all left something out was compared, although none succeeded', () => {
  assert.equal(lastSyncText(link({ lastSync: now - 18_000, comparedAt: now }), now), 'last sync 18 s ago');
  assert.equal(lastSyncText(link({ comparedAt: now - 18_000 }), now), 'last compared 18 s ago');
  assert.equal(lastSyncText(link(), now), 'never synchronized');
});

test('the schedule says when the link may be used', () => {
  assert.match(
    scheduleText(link({ window: { open: true, until: now } }), now) ?? '',
    /^window open until \d\d:\d\d$/,
  );
  assert.equal(scheduleText(link({ live: true }), now), 'follows its parent');
  assert.equal(scheduleText(link({ next: now + 40_000 }), now), 'next pass in 40 s');
  assert.equal(scheduleText(undefined, now), undefined);
});
