import assert from 'node:assert/strict';
import { test } from 'node:test';
import { orEmpty } from '../../../services/twin-bridge/source/first-start.ts';
import type { DocumentSource, SourceState } from '../../../services/twin-bridge/source/source.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };

function manualSource() {
  let emit: ((document: SourceState) => unknown) | undefined;
  const source: DocumentSource = {
    name: 'twin',
    watch(handler) {
      emit = handler;
      return { [Symbol.dispose]() {} };
    },
  };
  return { source, emit: (text: string) => emit?.({ text, folder: '/' }) };
}

const texts = (documents: SourceState[]) =>
  documents.map((document) => ('text' in document ? document.text : 'complaint'));

test('a source without a document in time gives an empty one, and its later documents still apply', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const documents: SourceState[] = [];
  const { source, emit } = manualSource();
  using _watching = orEmpty(source, 1_000, log).watch((document) => void documents.push(document));
  t.mock.timers.tick(999);
  assert.deepEqual(documents, []);
  t.mock.timers.tick(1);
  emit('mode: ReadWrite');
  assert.deepEqual(texts(documents), ['', 'mode: ReadWrite']);
});

test('a source with a document in time, or one that is no longer watched, gives no empty one', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const documents: SourceState[] = [];
  const { source, emit } = manualSource();
  using _watching = orEmpty(source, 1_000, log).watch((document) => void documents.push(document));
  emit('mode: ReadOnly');
  orEmpty(manualSource().source, 1_000, log)
    .watch((document) => void documents.push(document))
    [Symbol.dispose]();
  t.mock.timers.tick(5_000);
  assert.deepEqual(texts(documents), ['mode: ReadOnly']);
});
