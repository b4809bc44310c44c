import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { PassCaches } from '../../../services/syncer/reconcile/context/pass-caches.ts';
import { makePass, type PassDeps } from '../../../services/syncer/reconcile/pass.ts';
import { quiet } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';

const closed = new Fault('window-closed', 'the window is closed');

type Parent = { answers: number; ping: () => Promise<void> };

/** A pass whose window closes while it reads the change feed. @param before runs at the beginning of that read */
function passAtClose(parent: Parent, before: () => unknown) {
  const end = new AbortController();
  const changeCursor = {
    cursor: 'known',
    use: async () => {},
    read: async () => {
      await before();
      end.abort(closed);
      throw closed;
    },
  };
  const deps = {
    ...{
      parent,
      changeCursor,
      feed: { hasAnswered: false },
      caches: new PassCaches(),
      log: quiet,
      signal: end.signal,
    },
    configuration: configurationWith({ parent: { url: 'https://parent.example' } }),
  };
  return makePass(deps as unknown as PassDeps, { id: 'p', cause: 'window' });
}

test('a parent that never answered is asked for changes and whether it answers at a time', async () => {
  const { promise: pinged, resolve } = Promise.withResolvers<void>();
  const { ended } = await passAtClose({ answers: 0, ping: async () => resolve() }, () => pinged);
  assert.equal(ended, 'window');
});

test('a pass whose window closes before the parent has answered is marked as unanswered', async () => {
  const answering = (answers: number) => {
    const parent = { answers: 7, ping: async () => {} };
    return passAtClose(parent, () => {
      parent.answers += answers;
    });
  };
  const unanswered = await answering(0);
  assert.deepEqual([unanswered.ok, unanswered.ended, unanswered.unanswered], [false, 'window', true]);
  const answered = await answering(1);
  assert.deepEqual([answered.ended, answered.unanswered], ['window', undefined]);
});

test('a parent that has answered before gets no further request for that', async () => {
  let pings = 0;
  const ping = async () => {
    pings += 1;
  };
  await passAtClose({ answers: 7, ping }, () => {});
  assert.equal(pings, 0);
});
