import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identityOfParent, namedPath, urlAt } from '../../../../services/syncer/link/answers/parent-path.ts';

test('a parent is recorded by host and port, and by the path of its address if there is one', () => {
  const identities = [
    ['https://registry.example', 'registry.example'],
    ['https://registry.example/', 'registry.example'],
    ['http://registry.example:5000', 'registry.example:5000'],
    ['https://HOST.example/hosted/docker/key/', 'host.example/hosted/docker/key'],
  ] as const;
  for (const [url, identity] of identities) assert.equal(identityOfParent(url), identity);
});

test('requests go below the path of the address, unless their path is complete', () => {
  const at = (base: string, target: string) => urlAt(new URL(base), target).href;
  assert.equal(at('http://h', '/v2/a/tags/list?n=1'), 'http://h/v2/a/tags/list?n=1');
  assert.equal(at('http://h/a/b', '/v2/'), 'http://h/a/b/v2/');
  assert.equal(at('http://h/a/b/', '/acr/v1/x'), 'http://h/a/b/acr/v1/x');
  assert.equal(at('http://h/a/b', '/a/b/v2/x?y=z'), 'http://h/a/b/v2/x?y=z');
  assert.equal(at('http://h/a', '/api/v2.0/projects'), 'http://h/a/api/v2.0/projects');
  assert.equal(at('http://h/a', 'http://other/x'), 'http://other/x');
});

/** Address, path requested, path in the answer, and what is requested next. */
const named: [base: string, requested: string, answered: string, next: string][] = [
  ['http://h', '/v2/a/blobs/uploads/', '/v2/a/blobs/uploads/1?s=2', '/v2/a/blobs/uploads/1?s=2'],
  ['http://h', '/v2/a/blobs/uploads/', '/uploads/1', '/uploads/1'],
  ['http://h/p', '/p/v2/a/blobs/uploads/', '/p/v2/a/blobs/uploads/1', '/p/v2/a/blobs/uploads/1'],
  ['http://h/p', '/p/v2/a/blobs/uploads/', '/p/uploads/1', '/p/uploads/1'],
  // Without the path, for the same resource.
  ['http://h/p', '/p/v2/a/blobs/uploads/', '/v2/a/blobs/uploads/1?s=2', '/p/v2/a/blobs/uploads/1?s=2'],
  ['http://h/p', '/p/v2/a/blobs/uploads/1', '/v2/a/blobs/uploads/2', '/p/v2/a/blobs/uploads/2'],
  ['http://h/p', '/p/v2/a/tags/list?n=2', '/v2/a/tags/list?n=2&last=b', '/p/v2/a/tags/list?n=2&last=b'],
  ['http://h/p', '/p/v2/_catalog?n=2', '/v2/_catalog?n=2&last=b', '/p/v2/_catalog?n=2&last=b'],
  // Another form of the same registry's addresses, on the same host.
  ['http://h/p', '/p/v2/a/blobs/uploads/', '/v2/key/a/blobs/uploads/1', 'http://h/v2/key/a/blobs/uploads/1'],
  ['http://h/p', '/p/v2/_catalog', '/v2/key/_catalog?last=b', 'http://h/v2/key/_catalog?last=b'],
  ['http://h/p', '/p/v2/a/blobs/uploads/', '/other/1', 'http://h/other/1'],
];

for (const [base, requested, answered, next] of named) {
  test(`below ${base}, ${answered} in the answer to ${requested} is requested as ${next}`, () => {
    const address = new URL(base);
    assert.equal(namedPath(address, new URL(answered, base), new URL(requested, base)), next);
    assert.equal(urlAt(address, next).href, new URL(next, base).href, 'and is complete');
  });
}
