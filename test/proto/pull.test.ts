import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { pull } from '#proto/pull.ts';

test('what is asked for over a connection that has ended fails once, and leaves nothing that fails later', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const ended = {
    subscribe: () => {
      throw new Error('CONNECTION_CLOSED');
    },
  };
  const connected = new AbortController();
  const asked = pull(
    ended as never,
    'storage',
    { stream: 'JOBS', name: 'up' },
    { batch: 1, waitMs: 1_000 },
    connected.signal,
  );
  await assert.rejects(asked, /CONNECTION_CLOSED/);
  // A promise that nobody awaits fails the test, if this rejects it.
  mock.timers.tick(10_000);
  connected.abort(new Error('the connection to the bus has broken'));
  await setImmediate();
});
