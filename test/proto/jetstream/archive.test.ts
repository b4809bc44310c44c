import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Archive, isInStream } from '#proto/jetstream/archive.ts';

const bounds = { first: 10, last: 20, made: 'now' };
/** The event at 15 is trimmed. */
const archive = {
  bounds: async () => bounds,
  idAt: async (sequence: number) => (sequence === 15 ? undefined : `id-${sequence}`),
} as unknown as Archive;

const rows: [name: string, position: { made?: string; sequence: number; id: string }, expected: boolean][] = [
  ['the event itself', { sequence: 12, id: 'id-12' }, true],
  ['another event in its place', { sequence: 12, id: 'other' }, false],
  ['an expired event', { sequence: 9, id: 'any' }, true],
  ['a trimmed event', { sequence: 15, id: 'any' }, true],
  ['an event after the end', { sequence: 21, id: 'id-21' }, false],
  ['the event of this stream', { made: 'now', sequence: 20, id: 'id-20' }, true],
  ['the same in an earlier stream', { made: 'before', sequence: 20, id: 'id-20' }, false],
  ['an expired event of an earlier stream', { made: 'before', sequence: 9, id: 'any' }, false],
];

for (const [name, position, expected] of rows) {
  test(`${name} is ${expected ? '' : 'not '}in the stream`, async () => {
    assert.equal(await isInStream(archive, position), expected);
    assert.equal(await isInStream(archive, position, bounds), expected);
  });
}

test('every event up to the end of an empty stream has expired', async () => {
  const empty = { ...bounds, first: 21, last: 20 };
  assert.equal(await isInStream(archive, { sequence: 21, id: 'any' }, empty), false);
  assert.equal(await isInStream(archive, { sequence: 20, id: 'any' }, empty), true);
});
