import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { LeftOutContent } from '../../../../services/syncer/reconcile/context/left-out.ts';
import type { PassContext } from '../../../../services/syncer/reconcile/context/pass-context.ts';
import { noteHiddenReferrers } from '../../../../services/syncer/reconcile/pull/hidden-referrers.ts';
import { configurationWith } from '../../../support/configuration.ts';

test('lists of referrers that could not be read stay reported until everything is compared without that', () => {
  const leftOut = new LeftOutContent();
  const [selected] = configurationWith({ repositories: ['app'] }).repositories;
  assert.ok(selected);
  let hidden: Fault | undefined = new Fault('parent-refused', 'GET /v2/app/referrers: 403');
  const parent = { hiddenReferrers: () => hidden } as unknown as PassContext['parent'];
  const pass = (everything: boolean, referrers = selected.referrers) => {
    leftOut.begin(everything);
    noteHiddenReferrers(
      { parent, leftOut },
      { repository: 'app', selected: { ...selected, referrers }, parentTags: 3 },
    );
    leftOut.completed(3);
    return leftOut.summary()?.images;
  };
  assert.equal(pass(true), 3);
  // They may be asked for again, and this pass had no reason to.
  hidden = undefined;
  assert.equal(pass(false), 3);
  assert.equal(pass(true), undefined);
  hidden = new Fault('parent-refused', 'GET /v2/app/referrers: 403');
  assert.equal(pass(true, false), undefined, 'referrers that are not selected are reported');
});
