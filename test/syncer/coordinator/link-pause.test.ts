import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '#proto/bus/bus.ts';
import type { LinkStatus } from '#proto/status/status.ts';
import { LinkReport } from '../../../services/syncer/coordinator/link-report.ts';
import { newRequest } from '../../../services/syncer/reconcile/context/pass-request.ts';
import { emptyResult } from '../../../services/syncer/reconcile/context/pass-stats.ts';
import { quiet } from '../../support/bus.ts';

test('a pause replaces the state, also after a takeover, and the state before it is back afterwards', async () => {
  const paused = { since: Date.parse('2026-03-02T02:00:00Z'), by: 'alice', reason: 'welding' };
  let current: typeof paused | undefined = paused;
  let link: LinkStatus | undefined;
  const bus = {
    get: async () => link && { value: link, revision: 1 },
    put: async (_state: unknown, _key: string, value: LinkStatus) => {
      link = value;
    },
    publish() {},
  } as unknown as Bus;
  const report = () =>
    new LinkReport({
      bus,
      log: quiet,
      by: 'one',
      times: () => ({ schedule: '* * * * *', paused: current }),
      scope: () => 'scope',
      isCoordinator: () => true,
    });
  const shown = () => [link?.state, link?.code, link?.paused?.by, link?.live];
  const first = report();
  await first.takeOver();
  await first.refresh();
  assert.deepEqual(shown(), ['Offline', 'paused', 'alice', undefined]);
  assert.equal(link?.detail, 'the link is paused by alice since 2026-03-02T02:00:00.000Z (welding)');
  current = undefined;
  await first.refresh();
  // The end of the pause requests a pass.
  assert.deepEqual(shown(), ['Syncing', undefined, undefined, true]);
  await first
    .begin()
    .ended({ ...emptyResult(newRequest('test')), ok: true }, { isUnscoped: true, announced: true });
  assert.deepEqual(shown(), ['Online', undefined, undefined, true]);
  current = paused;
  await first.refresh();
  await first.refresh();
  assert.deepEqual(shown(), ['Offline', 'paused', 'alice', undefined]);
  assert.ok(link?.lastSync);
  current = undefined;
  await first.refresh();
  assert.deepEqual(shown(), ['Online', undefined, undefined, true]);
  current = paused;
  await first.refresh();
  const second = report();
  await second.takeOver();
  await second.refresh();
  assert.deepEqual(shown(), ['Offline', 'paused', 'alice', undefined]);
});
