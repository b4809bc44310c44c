import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';

/** Field `archive`: keys of trusted senders. */

const resolve = (text: string, readable = (_: string) => true) =>
  resolveDocument({ text, folder: '/etc/terrace', readable });

test('paths of keys are relative to the document', () => {
  const resolved = resolve('archive: { keyFiles: [north.pub, /keys/south.pub] }');
  assert.ok('configuration' in resolved, JSON.stringify(resolved));
  assert.deepEqual(resolved.configuration.archive, {
    keyFiles: ['/etc/terrace/north.pub', '/keys/south.pub'],
  });
});

test('a key that can not be read, and a value that is no list, are named', () => {
  const complaints = (text: string, readable?: (path: string) => boolean) => {
    const resolved = resolve(text, readable);
    return 'complaints' in resolved ? resolved.complaints : [];
  };
  assert.deepEqual(
    complaints('archive: { keyFiles: [a.pub, b.pub] }', (path) => path.endsWith('a.pub')),
    ['archive.keyFiles.1 "/etc/terrace/b.pub" can\'t be read: create that file, or name another one'],
  );
  assert.match(
    complaints('archive: { keyFiles: a.pub }').join(),
    /write a list of paths of PEM files with public keys/,
  );
});
