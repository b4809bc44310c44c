import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { pull } from '#proto/jetstream/pull.ts';

test('a request over a closed connection fails once and leaves no promise that rejects later', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const closedConnection = {
    subscribe: () => {
      throw new Error('CONNECTION_CLOSED');
    },
  };
  const connected = new AbortController();
  const pulled = pull(
    closedConnection as never,
    'storage',
    { stream: 'JOBS', name: 'up' },
    { batch: 1, waitMs: 1_000 },
    connected.signal,
  );
  await assert.rejects(pulled, /CONNECTION_CLOSED/);
  // An unhandled rejection fails the test.
  mock.timers.tick(10_000);
  connected.abort(new Error('the connection to the bus has broken'));
  await setImmediate();
});
