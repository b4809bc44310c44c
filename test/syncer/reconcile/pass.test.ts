import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';

import { PassCaches } from '../../../services/syncer/reconcile/context/pass-caches.ts';
import { makePass, type PassDeps } from '../../../services/syncer/reconcile/pass.ts';
import { quiet } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';

const closed = new Fault('window-closed', 'the window is closed');

/** A pass whose window closes while it reads the change feed. @param answers answers of the parent before that */
async function passAtClose(answers: number) {
  const end = new AbortController();
  const parent = { answers: 7, ping: async () => {} };
  const changeCursor = {
    read: async () => {
      parent.answers += answers;
      end.abort(closed);
      throw closed;
    },
  };
  const deps = {
    ...{ parent, changeCursor, feed: {}, caches: new PassCaches(), log: quiet, signal: end.signal },
    configuration: configurationWith({ parent: { url: 'https://parent.example' } }),
  };
  return makePass(deps as unknown as PassDeps, { id: 'p', cause: 'window' });
}

test('a parent that never answered is asked for changes and whether it answers at a time', async () => {
  const { promise: pinged, resolve } = Promise.withResolvers<void>();
  const end = new AbortController();
  const parent = { answers: 0, ping: async () => resolve() };
  const changeCursor = {
    read: async () => {
      await pinged;
      end.abort(closed);
      throw closed;
    },
  };
  const deps = {
    ...{ parent, changeCursor, caches: new PassCaches(), log: quiet, signal: end.signal },
    feed: { hasAnswered: false },
    configuration: configurationWith({ parent: { url: 'https://parent.example' } }),
  };
  const { ended } = await makePass(deps as unknown as PassDeps, { id: 'p', cause: 'window' });
  assert.equal(ended, 'window');
});

test('a pass whose window closes before the parent has answered is marked as unanswered', async () => {
  const unanswered = await passAtClose(0);
  assert.deepEqual([unanswered.ok, unanswered.ended, unanswered.unanswered], [false, 'window', true]);
  const answered = await passAtClose(1);
  assert.deepEqual([answered.ended, answered.unanswered], ['window', undefined]);
});

test('a parent that has answered before gets no further request for that', async () => {
  const end = new AbortController();
  let pings = 0;
  const parent = {
    answers: 7,
    ping: async () => {
      pings += 1;
    },
  };
  const changeCursor = {
    read: async () => {
      end.abort(closed);
      throw closed;
    },
  };
  const deps = {
    ...{ parent, changeCursor, caches: new PassCaches(), log: quiet, signal: end.signal },
    feed: { hasAnswered: false },
    configuration: configurationWith({ parent: { url: 'https://parent.example' } }),
  };
  await makePass(deps as unknown as PassDeps, { id: 'p', cause: 'window' });
  assert.equal(pings, 0);
});
