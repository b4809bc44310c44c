import assert from 'node:assert/strict';
import { test } from 'node:test';
import { orEmpty } from '../../../services/twin-bridge/source/first-start.ts';
import type { DocumentSource, SourceState } from '../../../services/twin-bridge/source/source.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };

function silent() {
  let tell: ((found: SourceState) => unknown) | undefined;
  const source: DocumentSource = {
    name: 'twin',
    watch(handler) {
      tell = handler;
      return { [Symbol.dispose]() {} };
    },
  };
  return { source, tell: (text: string) => tell?.({ text, folder: '/' }) };
}

const texts = (found: SourceState[]) => found.map((one) => ('text' in one ? one.text : 'complaint'));

test('a source that finds nothing in time stands for an empty document, and is heard all the same', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const found: SourceState[] = [];
  const { source, tell } = silent();
  using _watching = orEmpty(source, 1_000, log).watch((one) => void found.push(one));
  t.mock.timers.tick(999);
  assert.deepEqual(found, []);
  t.mock.timers.tick(1);
  tell('mode: ReadWrite');
  assert.deepEqual(texts(found), ['', 'mode: ReadWrite']);
});

test('one that finds something in time, or is no longer watched, never does', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const found: SourceState[] = [];
  const { source, tell } = silent();
  using _watching = orEmpty(source, 1_000, log).watch((one) => void found.push(one));
  tell('mode: ReadOnly');
  orEmpty(silent().source, 1_000, log)
    .watch((one) => void found.push(one))
    [Symbol.dispose]();
  t.mock.timers.tick(5_000);
  assert.deepEqual(texts(found), ['mode: ReadOnly']);
});
