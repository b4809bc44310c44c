import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventTypesOf, nearTypes } from '../../../cli/input/event-types.ts';
import { Refusal } from '../../../cli/terminal/refusal.ts';

test('types and their beginnings up to a dot are taken, also with the prefix that they have in CloudEvents', () => {
  assert.deepEqual(eventTypesOf(['tag.moved', 'transfer', 'terrace.link.changed']), [
    'tag.moved',
    'transfer',
    'link.changed',
  ]);
  assert.deepEqual(eventTypesOf(['tag.signed'], true), ['tag.signed']);
});

const rows: [text: string, near: string[]][] = [
  ['tags', ['tag']],
  ['tag.move', ['tag.moved']],
  ['Tag.Moved', ['tag.moved']],
  ['moved', ['tag.moved']],
  ['started', ['pass.started', 'image.started', 'storage.started', 'transfer.started']],
  ['trans', ['transfer', 'transfer.failed', 'transfer.paused', 'transfer.delayed']],
  ['xyzzy', []],
  ['', []],
];
for (const [text, near] of rows) {
  test(`--type "${text}" is refused with what is like it: ${near.join(', ') || 'nothing'}`, () => {
    assert.deepEqual(nearTypes(text), near);
    assert.throws(
      () => eventTypesOf(['tag', text]),
      (error: unknown) => {
        assert.ok(error instanceof Refusal && error.exitCode === 2);
        assert.match(error.message, /such as transfer for all events of transfers .*--any-type/);
        assert.equal(error.message.includes('did you mean'), near.length > 0);
        for (const type of near) assert.ok(error.message.includes(type));
        return true;
      },
    );
  });
}

test('a type of any length is refused at once, and its beginning is shown', () => {
  assert.throws(
    () => eventTypesOf(['x'.repeat(100_000)]),
    ({ message }: Error) => message.length < 600,
  );
});
