import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NatsConnection } from 'nats';
import { Appender } from '../../../proto/jetstream/appender.ts';
import { until } from '../../support/until.ts';

type Sent = { id: string; answer: (acknowledgement: object) => void };
type Options = { reply: string; headers: { get(name: string): string } };

/** A connection whose server answers when the test says so. */
function scripted(patienceMs = 60_000) {
  const sent: Sent[] = [];
  let deliver: (error: null, message: unknown) => void = () => {};
  const nc = {
    subscribe: (_subject: string, { callback }: { callback: typeof deliver }) => {
      deliver = callback;
    },
    publish: (_subject: string, _bytes: Uint8Array, { reply, headers }: Options) => {
      const answer = (acknowledgement: object) =>
        deliver(null, { subject: reply, json: () => acknowledgement });
      sent.push({ id: headers.get('Nats-Msg-Id'), answer });
    },
  };
  return { appender: new Appender(nc as unknown as NatsConnection, 'storage', patienceMs), sent };
}

const bytes = new Uint8Array();
const ids = (sent: Sent[]) => sent.map(({ id }) => id);
const appendAll = (appender: Appender, names: string[]) =>
  Promise.allSettled(names.map((id) => appender.append('events.x', id, bytes)));
const outcome = (results: PromiseSettledResult<number>[]) =>
  results.map((each) => (each.status === 'fulfilled' ? each.value : String(each.reason.message)));

test('the first event is sent alone, and the others in their order once it is stored', async () => {
  const { appender, sent } = scripted();
  const done = appendAll(appender, ['a', 'b', 'c']);
  assert.deepEqual(ids(sent), ['a']);
  sent[0]?.answer({ seq: 1 });
  await until(() => sent.length === 3);
  assert.deepEqual(ids(sent), ['a', 'b', 'c']);
  sent[2]?.answer({ seq: 3 });
  sent[1]?.answer({ seq: 2 });
  assert.deepEqual(outcome(await done), [1, 2, 3]);
  const more = appendAll(appender, ['d', 'e']);
  assert.deepEqual(ids(sent).slice(3), ['d', 'e']);
  appender.onDisconnect();
  await more;
});

test('events behind one that the server refuses are not sent', async () => {
  const { appender, sent } = scripted();
  const done = appendAll(appender, ['a', 'b']);
  sent[0]?.answer({ error: { description: 'not ready' } });
  assert.deepEqual(outcome(await done), ['not ready', 'not ready']);
  assert.deepEqual(ids(sent), ['a']);
});

test('after a refusal or a broken connection, one event is sent alone again', async () => {
  for (const breaks of ['refusal', 'disconnect']) {
    const { appender, sent } = scripted();
    const first = appender.append('events.x', 'a', bytes);
    sent[0]?.answer({ seq: 1 });
    await first;
    const done = appendAll(appender, ['b', 'c']);
    assert.deepEqual(ids(sent), ['a', 'b', 'c']);
    if (breaks === 'refusal') sent[1]?.answer({ error: { description: 'full' } });
    else appender.onDisconnect();
    sent[2]?.answer({ seq: 2 });
    const [b, c] = outcome(await done);
    assert.equal(b, breaks === 'refusal' ? 'full' : 'lost the connection to the bus');
    assert.equal(c, breaks === 'refusal' ? 2 : 'lost the connection to the bus');
    const more = appendAll(appender, ['b', 'd']);
    assert.deepEqual(ids(sent).slice(3), ['b']);
    appender.onDisconnect();
    await more;
  }
});

test('an event that is not answered fails', async () => {
  const { appender } = scripted(1);
  await assert.rejects(appender.append('events.x', 'a', bytes), /no answer within 0\.001 s/);
});
