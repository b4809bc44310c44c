import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from 'nats';
import { streams } from '#proto/jetstream/streams.ts';
import { HistoryAge } from '../../../services/storage/history/history-age.ts';
import { quiet, TestBus } from '../../support/bus.ts';
import { until } from '../../support/until.ts';

/** The retention of events follows the configuration in force. */

const DAY = 86_400_000;

test('the latest retention of events is applied, even if the bus was down when it was set', async () => {
  await using server = await TestBus.start();
  const storage = await server.connect('storage');
  const end = new AbortController();
  const age = new HistoryAge(storage, quiet, end.signal);
  const retention = async () => {
    const [user, pass] = ['storage', 'secret-of-storage'];
    const nc = await connect({ servers: server.url, user, pass, inboxPrefix: '_INBOX_storage' });
    const { config } = await (await nc.jetstreamManager()).streams.info(streams.events.name);
    await nc.close();
    return config.max_age / 1_000_000;
  };
  age.set(7 * DAY);
  await until(async () => (await retention()) === 7 * DAY, 'seven days');
  await server.kill();
  age.set(30 * DAY);
  age.set(14 * DAY);
  await server.up();
  await until(async () => (await retention().catch(() => 0)) === 14 * DAY, 'fourteen days');
  end.abort();
  assert.equal(await retention(), 14 * DAY);
});
