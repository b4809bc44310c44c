import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BusCaller, EventPublisher, StateReader, StateWatcher, StateWriter } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Publisher } from '../../services/twin-bridge/publish.ts';
import { quiet } from '../support/bus.ts';
import { configurationWith } from '../support/configuration.ts';
import { until } from '../support/until.ts';

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

test('a change is in force although storage is unavailable, and is recorded in the audit once storage answers', async () => {
  const published = Promise.withResolvers<void>();
  let isAvailable = false;
  const recorded: unknown[] = [];
  const bus = {
    watch: () => () => {},
    get: async () => ({ value: configurationWith() }),
    put: async () => {},
    publish: () => published.resolve(),
    // As a requester without a responder.
    call: async (_contract: unknown, query: unknown) => {
      if (!isAvailable) throw new Fault('unavailable', 'no service answers');
      recorded.push(query);
    },
  } as unknown as StateReader & StateWriter & StateWatcher & EventPublisher & BusCaller;
  using publisher = new Publisher(bus, quiet);
  publisher.want(configurationWith({ eventTtl: 'P1D' }));
  await published.promise;
  assert.deepEqual(recorded, []);
  isAvailable = true;
  await until(() => recorded.length === 1);
});
