import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attributed, MAX_RELAYED_BYTES, Relay } from '#proto/bus/relay.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Archive } from '#proto/jetstream/archive.ts';

/** Events of layers below, as they are stored. */

const event: Envelope = {
  specversion: '1.0',
  id: 'a-1',
  source: '/layers/line/a',
  type: 'terrace.tag.moved',
  time: '2030-01-01T00:00:00.000Z',
  data: {},
};
const origin = { made: 'm', sequence: 1 };
const storing = (store: (subject: string) => Promise<number>) => new Relay({} as Archive, store);

test('what is refused for good is no outage: a child that sends it again has it refused again', async () => {
  for (const code of ['malformed', 'too-large', 'denied'] as const) {
    const refusing = storing(async () => {
      throw new Fault(code, 'no');
    });
    await assert.rejects(refusing.store('line', origin, event), { code });
  }
  const away = storing(async () => {
    throw new Error('TIMEOUT');
  });
  await assert.rejects(away.store('line', origin, event), { code: 'unavailable' });
  await assert.rejects(away.store('line', origin, { ...event, id: 'x'.repeat(400) }), { code: 'malformed' });
});

test('types that a child makes up share one subject, those that are known keep theirs', async () => {
  const subjects = new Set<string>();
  const relay = storing(async (subject) => subjects.add(subject).size);
  for (let at = 0; at < 1_000; at += 1) {
    await relay.store('line', origin, { ...event, type: `terrace.made.up${at}` });
  }
  await relay.store('line', origin, { ...event, type: 'terrace.made.up7' });
  await relay.store('line', origin, { ...event, type: 'terrace.> *' });
  assert.equal(subjects.size, 201);
  assert.ok(subjects.has('below.line.other') && subjects.has('below.line.made.up7'));
});

test('an event is as large as it may be, or says how large it was', () => {
  const told = (bytes: number) => attributed('line', { ...event, data: 'x'.repeat(bytes) }).data;
  assert.equal(typeof told(MAX_RELAYED_BYTES - 5), 'string');
  assert.deepEqual(told(MAX_RELAYED_BYTES), { leftOutBytes: MAX_RELAYED_BYTES + 5 });
});
