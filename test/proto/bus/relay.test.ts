import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attributed, MAX_RELAYED_BYTES, Relay } from '#proto/bus/relay.ts';
import type { Envelope } from '#proto/contract/envelope.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Archive } from '#proto/jetstream/archive.ts';

/** How events of the layers below are stored. */

const event: Envelope = {
  specversion: '1.0',
  id: 'a-1',
  source: '/layers/line/a',
  type: 'terrace.tag.moved',
  time: '2030-01-01T00:00:00.000Z',
  data: {},
};
const origin = { made: 'm', sequence: 1 };
const relayTo = (store: (subject: string) => Promise<number>) => new Relay({} as Archive, store);

test('a permanent refusal keeps its code; any other failure to store an event is unavailable', async () => {
  for (const code of ['malformed', 'too-large', 'denied'] as const) {
    const relay = relayTo(async () => {
      throw new Fault(code, 'no');
    });
    await assert.rejects(relay.store('line', origin, event), { code });
  }
  const unavailable = relayTo(async () => {
    throw new Error('TIMEOUT');
  });
  await assert.rejects(unavailable.store('line', origin, event), { code: 'unavailable' });
  await assert.rejects(unavailable.store('line', origin, { ...event, id: 'x'.repeat(400) }), {
    code: 'malformed',
  });
});

test('above a limit, new event types of a child share one subject; known types keep their own', async () => {
  const subjects = new Set<string>();
  const relay = relayTo(async (subject) => subjects.add(subject).size);
  for (let at = 0; at < 1_000; at += 1) {
    await relay.store('line', origin, { ...event, type: `terrace.made.up${at}` });
  }
  await relay.store('line', origin, { ...event, type: 'terrace.made.up7' });
  await relay.store('line', origin, { ...event, type: 'terrace.> *' });
  assert.equal(subjects.size, 201);
  assert.ok(subjects.has('below.line.other') && subjects.has('below.line.made.up7'));
});

test('data of an event above the size limit are replaced by their size', () => {
  const attributedData = (bytes: number) => attributed('line', { ...event, data: 'x'.repeat(bytes) }).data;
  assert.equal(typeof attributedData(MAX_RELAYED_BYTES - 5), 'string');
  assert.deepEqual(attributedData(MAX_RELAYED_BYTES), { leftOutBytes: MAX_RELAYED_BYTES + 5 });
});
