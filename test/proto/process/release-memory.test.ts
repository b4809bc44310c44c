import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { cachedDataVersionTag } from 'node:v8';
import { releaseMemory } from '#proto/process/release-memory.ts';
import { NODE_FLAGS } from '../../../cli/data/node.ts';

test('what is not in use is released, and V8 takes its compiled code as before', async () => {
  const tag = cachedDataVersionTag();
  const unused = new WeakRef({});
  // What a turn of the event loop has created lives until its end.
  await nextTurn();
  releaseMemory();
  assert.equal(unused.deref(), undefined);
  assert.equal(cachedDataVersionTag(), tag);
  assert.equal(globalThis.gc, undefined);
});

test('with the flags of a service, Node takes the compiled code of its own modules', () => {
  const tagWith = (flags: string[]) =>
    execFileSync(process.execPath, [...flags, '--print', 'v8.cachedDataVersionTag()'], { encoding: 'utf8' });
  assert.equal(tagWith(NODE_FLAGS), tagWith([]));
  assert.notEqual(tagWith(['--liftoff-only']), tagWith([]));
});
