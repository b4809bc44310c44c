import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';

import { makePass, type PassDeps } from '../../../services/syncer/reconcile/pass.ts';
import { quiet } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';

const closed = new Fault('window-closed', 'the window is closed');

/** A pass whose window closes while the parent is asked, which has answered so often since it began. */
async function ended(answers: number) {
  const end = new AbortController();
  const parent = { answers: 7 };
  const changeCursor = {
    read: async () => {
      parent.answers += answers;
      end.abort(closed);
      throw closed;
    },
  };
  const deps = {
    ...{ parent, changeCursor, feed: {}, log: quiet, signal: end.signal },
    configuration: configurationWith({ parent: { url: 'https://parent.example' } }),
  };
  return makePass(deps as unknown as PassDeps, { id: 'p', cause: 'window' });
}

test('a pass that its window ends before the parent has answered says that it was not heard', async () => {
  const unheard = await ended(0);
  assert.deepEqual([unheard.ok, unheard.ended, unheard.unanswered], [false, 'window', true]);
  const parentChanges = await ended(1);
  assert.deepEqual([parentChanges.ended, parentChanges.unanswered], ['window', undefined]);
});
