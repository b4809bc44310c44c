import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BusCaller, EventPublisher, StateReader, StateWatcher, StateWriter } from '#proto/bus/roles.ts';
import { Publisher } from '../../services/twin-bridge/publish.ts';
import { quiet } from '../support/bus.ts';
import { configurationWith } from '../support/configuration.ts';

test('an unreadable configuration of an earlier version is overwritten', async () => {
  const wanted = configurationWith();
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const bus = {
    watch: () => () => {},
    // A value that can't be read counts as none.
    get: async () => undefined,
    put: async (_state: unknown, _key: unknown, value: unknown) => resolve(value),
    publish: () => {},
    call: async () => ({}),
  } as unknown as StateReader & StateWriter & StateWatcher & EventPublisher & BusCaller;
  using publisher = new Publisher(bus, quiet);
  publisher.want(wanted);
  assert.deepEqual(await promise, wanted);
});
