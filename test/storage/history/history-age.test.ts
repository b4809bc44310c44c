import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from 'nats';
import { streams } from '#proto/jetstream/streams.ts';
import { HistoryAge } from '../../../services/storage/history/history-age.ts';
import { quiet, TestBus } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

/** How long events are kept, as the configuration in force has it. */

const DAY = 86_400_000;

test('events stay as long as was last asked, also where the bus was away then', async () => {
  await using server = await TestBus.start();
  const storage = await server.connect('storage');
  const end = new AbortController();
  const age = new HistoryAge(storage, quiet, end.signal);
  const kept = async () => {
    const [user, pass] = ['storage', 'secret-of-storage'];
    const nc = await connect({ servers: server.url, user, pass, inboxPrefix: '_INBOX_storage' });
    const { config } = await (await nc.jetstreamManager()).streams.info(streams.events.name);
    await nc.close();
    return config.max_age / 1_000_000;
  };
  age.set(7 * DAY);
  await until(async () => (await kept()) === 7 * DAY, 'seven days');
  await server.kill();
  age.set(30 * DAY);
  age.set(14 * DAY);
  await server.up();
  await until(async () => (await kept().catch(() => 0)) === 14 * DAY, 'fourteen days');
  end.abort();
  assert.equal(await kept(), 14 * DAY);
});
