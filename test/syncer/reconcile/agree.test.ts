import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_BASES, setBases } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { imageFailed } from '#proto/sync/passes.ts';
import { recordAgreement } from '../../../services/syncer/reconcile/agree.ts';
import { BehindBook } from '../../../services/syncer/reconcile/behind/behind-book.ts';
import type { PassContext } from '../../../services/syncer/reconcile/context/pass-context.ts';
import { PassStats } from '../../../services/syncer/reconcile/context/pass-stats.ts';
import type { Survey } from '../../../services/syncer/reconcile/observe/survey.ts';
import { quiet } from '../../support/bus.ts';

const digest = `sha256:${'a'.repeat(64)}`;

/** Records the agreement on this many tags. @param failing number of the request that fails, from 0 */
async function agree(tags: number, failing?: number) {
  const recorded: number[] = [];
  const failed: string[] = [];
  const stats = new PassStats(quiet);
  const bus = {
    call: async (contract: unknown, { bases }: { bases: unknown[] }) => {
      assert.equal(contract, setBases);
      recorded.push(bases.length);
      if (recorded.length - 1 === failing) throw new Fault('unavailable', 'storage is away');
    },
    publish: (event: unknown, { tag }: { tag: string }) => {
      assert.equal(event, imageFailed);
      failed.push(tag);
    },
  };
  const unsentChanges = { unsent: () => [] };
  const behind = new BehindBook([]);
  const configuration = { mode: 'ReadOnly' };
  const { signal } = new AbortController();
  const context = { bus, behind, configuration, unsentChanges, stats, pass: 'p', signal };
  const actions = Array.from({ length: tags }, (_, i) => ({
    tag: `v${i}`,
    views: {},
    action: { kind: 'agree', digest },
  }));
  const survey = { repository: 'app', actions, obsolete: [] };
  await recordAgreement(context as unknown as PassContext, survey as unknown as Survey);
  return { recorded, failed, stats };
}

test('agreements are recorded in groups', async () => {
  const { recorded, stats } = await agree(MAX_BASES + 1);
  assert.deepEqual([recorded, stats.failed], [[MAX_BASES, 1], 0]);
});

test('if a group can not be recorded, each of its tags has failed, and the next group is recorded', async () => {
  const { recorded, failed, stats } = await agree(MAX_BASES + 2, 0);
  assert.deepEqual(recorded, [MAX_BASES, 2]);
  assert.deepEqual([failed.length, failed[0], stats.failed], [MAX_BASES, 'v0', MAX_BASES]);
});
