import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { LeftOutContent } from '../../../../services/syncer/reconcile/context/left-out.ts';
import type { PassContext } from '../../../../services/syncer/reconcile/context/pass-context.ts';
import { noteHiddenReferrers } from '../../../../services/syncer/reconcile/pull/hidden-referrers.ts';
import { configurationWith } from '../../../support/configuration.ts';

test('lists of referrers that could not be read stay reported until everything is compared without that', async () => {
  const leftOut = new LeftOutContent();
  const [selected] = configurationWith({ repositories: ['app'] }).repositories;
  assert.ok(selected);
  let hidden: Fault | undefined = new Fault('parent-refused', 'GET /v2/app/referrers: 403');
  const parent = {
    hiddenReferrers: () => hidden,
    hiddenReferrersAbove: () => undefined,
  } as unknown as PassContext['parent'];
  const recorded: string[] = [];
  const leftOutRecords = {
    replace: async (repository: string) => void recorded.push(repository),
  } as unknown as PassContext['leftOutRecords'];
  const pass = async (everything: boolean, referrers = selected.referrers) => {
    leftOut.begin(everything);
    await noteHiddenReferrers(
      { parent, leftOut, leftOutRecords },
      { repository: 'app', selected: { ...selected, referrers }, tags: 3, isAllCompared: everything },
    );
    leftOut.completed(3);
    return leftOut.summary()?.images;
  };
  assert.equal(await pass(true), 3);
  assert.deepEqual(recorded, ['app']);
  // They may be asked for again, and this pass had no reason to.
  hidden = undefined;
  assert.equal(await pass(false), 3);
  assert.equal(await pass(true), undefined);
  hidden = new Fault('parent-refused', 'GET /v2/app/referrers: 403');
  assert.equal(await pass(true, false), undefined, 'referrers that are not selected are reported');
});
