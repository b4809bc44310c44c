import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventTypes } from '#proto/contract/event-types.ts';
import { ofKind } from '../../docs/declared.ts';

test('the list of types has those of all declared events, sorted', () => {
  assert.deepEqual(
    eventTypes,
    ofKind('event')
      .map(({ message }) => message.type)
      .sort(),
  );
});
