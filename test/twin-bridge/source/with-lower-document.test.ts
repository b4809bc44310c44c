import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DocumentSource, SourceState } from '../../../services/twin-bridge/source/source.ts';
import { withLowerDocument } from '../../../services/twin-bridge/source/with-lower-document.ts';

function scriptedSource(name: string): DocumentSource & { write(found: SourceState): void; watched: number } {
  let handler: ((found: SourceState) => void) | undefined;
  return {
    name,
    watched: 0,
    watch(given) {
      handler = given;
      this.watched += 1;
      return {
        [Symbol.dispose]: () => {
          this.watched -= 1;
        },
      };
    },
    write: (found) => handler?.(found),
  };
}

test('a document is passed on with the one below it, whichever of them changes', () => {
  const [twin, file] = [scriptedSource('the module twin'), scriptedSource('/etc/t.yaml')];
  const found: SourceState[] = [];
  const watching = withLowerDocument(twin, file).watch((one) => void found.push(one));
  file.write({ text: 'name: a', folder: '/etc' });
  assert.deepEqual(found, [], 'nothing is passed on before both are known');
  twin.write({ text: '{}', folder: '/data', version: 3 });
  file.write({ complaint: 'it is missing' });
  file.write({ text: 'name: b', folder: '/etc' });
  twin.write({ complaint: 'no twin', version: 4 });
  assert.deepEqual(found, [
    { text: '{}', folder: '/data', version: 3, lower: { text: 'name: a', folder: '/etc' } },
    { complaint: 'it is missing', version: 3 },
    { text: '{}', folder: '/data', version: 3, lower: { text: 'name: b', folder: '/etc' } },
    { complaint: 'no twin', version: 4 },
  ]);
  watching[Symbol.dispose]();
  assert.deepEqual([twin.watched, file.watched], [0, 0]);
});
