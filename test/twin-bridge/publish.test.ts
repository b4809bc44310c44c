import assert from 'node:assert/strict';
import { test } from 'node:test';
import type {
  BusCaller,
  EventPublisher,
  RetentionSetter,
  StateReader,
  StateWatcher,
  StateWriter,
} from '#proto/bus/roles.ts';
import { Publisher } from '../../services/twin-bridge/publish.ts';
import { quiet } from '../support/bus.ts';
import { configurationWith } from '../support/configuration.ts';

test('a bus that can not keep events for so long gets the configuration all the same', async () => {
  const wanted = configurationWith({ eventTtl: 'P90D' });
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const bus = {
    watch: () => () => {},
    get: async () => undefined,
    put: async (_state: unknown, _key: unknown, value: unknown) => resolve(value),
    publish: () => {},
    call: async () => ({}),
    setEventRetention: async () => {
      throw new Error('no room');
    },
  } as unknown as StateReader & StateWriter & StateWatcher & EventPublisher & RetentionSetter & BusCaller;
  using publisher = new Publisher(bus, quiet);
  publisher.want(wanted);
  assert.deepEqual(await promise, wanted);
});

test('a configuration that an earlier Terrace wrote, and that can not be read now, is written over', async () => {
  const wanted = configurationWith();
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const bus = {
    watch: () => () => {},
    // Which counts as none.
    get: async () => undefined,
    put: async (_state: unknown, _key: unknown, value: unknown) => resolve(value),
    publish: () => {},
    call: async () => ({}),
    setEventRetention: async () => {},
  } as unknown as StateReader & StateWriter & StateWatcher & EventPublisher & RetentionSetter & BusCaller;
  using publisher = new Publisher(bus, quiet);
  publisher.want(wanted);
  assert.deepEqual(await promise, wanted);
});
