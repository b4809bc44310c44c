import { deepEqual, equal, throws } from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRepository } from '#proto/oci/names.ts';
import { allows, etagOf, isFresh, rangeFor } from '../../../services/gateway/http/preconditions.ts';
import { parseContentRange, parseRange, uploadRange } from '../../../services/gateway/http/ranges.ts';
import { foldName } from '../../../services/gateway/http/repository-name.ts';

test('a repository name is folded into one segment of the path', () => {
  const table: [string, string][] = [
    ['/v2/', '/v2/'],
    ['/v2/_catalog?n=1', '/v2/_catalog?n=1'],
    ['/v2/a/tags/list', '/v2/a/tags/list'],
    ['/v2/a/b/c/tags/list?n=2&last=x/tags/list', '/v2/a%2Fb%2Fc/tags/list?n=2&last=x/tags/list'],
    ['/v2/a/b/manifests/latest', '/v2/a%2Fb/manifests/latest'],
    ['/v2/a/manifests/b/manifests/c', '/v2/a%2Fmanifests%2Fb/manifests/c'],
    ['/v2/a/tags/list/tags/list', '/v2/a%2Ftags%2Flist/tags/list'],
    ['/v2/a/b/blobs/sha256:00', '/v2/a%2Fb/blobs/sha256:00'],
    ['/v2/a/b/blobs/uploads/', '/v2/a%2Fb/blobs/uploads/'],
    ['/v2/a/b/blobs/uploads', '/v2/a%2Fb/blobs/uploads'],
    ['/v2/a/b/blobs/uploads?mount=x', '/v2/a%2Fb/blobs/uploads?mount=x'],
    ['/v2/a/b/blobs/uploads/id?digest=a', '/v2/a%2Fb/blobs/uploads/id?digest=a'],
    ['/v2/a/b/referrers/sha256:00', '/v2/a%2Fb/referrers/sha256:00'],
    ['/v2/A%2fb/tags/list', '/v2/A%252fb/tags/list'],
    ['/v2/_terrace/x/tags/list', '/v2/_terrace/x/tags/list'],
    ['http://registry:5000/v2/a/b/tags/list', '/v2/a%2Fb/tags/list'],
    ['http://registry:5000', '/'],
    ['*', '*'],
    ['/v2/a//b/tags/list', '/v2/a%2F%2Fb/tags/list'],
  ];
  for (const [url, folded] of table) {
    const slash = url.includes('/blobs/uploads') && !url.includes('/blobs/uploads/');
    equal(foldName(url), slash ? folded.replace('/blobs/uploads', '/blobs/uploads/') : folded, url);
  }
});

test('every valid repository name can be decoded from its segment', () => {
  const name = fc.stringMatching(
    /^[a-z0-9]{1,6}([._-][a-z0-9]{1,4})?(\/(blobs|manifests|tags|[a-z0-9]{1,5})){0,4}$/,
  );
  fc.assert(
    fc.property(
      name,
      fc.constantFrom('manifests/x', 'tags/list', 'blobs/uploads/x', 'referrers/x'),
      (repository, end) => {
        fc.pre(isRepository(repository));
        const [, segment, ...rest] = foldName(`/v2/${repository}/${end}`).slice(1).split('/');
        equal(decodeURIComponent(segment!), repository);
        equal(rest.join('/'), end);
      },
    ),
  );
});

test('the Range header of a GET is parsed', () => {
  const table: [string | undefined, number, [number, number][] | 'all'][] = [
    [undefined, 10, 'all'],
    ['', 10, 'all'],
    ['bytes=0-0', 10, [[0, 0]]],
    ['bytes=0-', 10, [[0, 9]]],
    ['bytes=3-5', 10, [[3, 5]]],
    ['Bytes=3-500', 10, [[3, 9]]],
    ['bytes=-4', 10, [[6, 9]]],
    ['bytes=-40', 10, [[0, 9]]],
    ['bytes=-0', 10, []],
    ['bytes=10-', 10, []],
    ['bytes=10-12', 10, []],
    ['bytes=0-', 0, []],
    ['bytes=-1', 0, []],
    [
      'bytes=0-1, 4-5,-1',
      10,
      [
        [0, 1],
        [4, 5],
        [9, 9],
      ],
    ],
    ['bytes=0-1,50-60', 10, [[0, 1]]],
    ['bytes=0-9,0-9', 10, 'all'],
    ['bytes=5-3', 10, []],
    ['bytes=5-3,1-1', 10, [[1, 1]]],
    ['bytes=,1-1, ,', 10, [[1, 1]]],
    ['bytes=', 10, 'all'],
    ['bytes=,,', 10, 'all'],
    [
      'bytes=0-4,2-6',
      10,
      [
        [0, 4],
        [2, 6],
      ],
    ],
    ['bytes=0-4,2-8', 10, 'all'],
    ['bytes=-', 10, 'all'],
    ['bytes=a-b', 10, 'all'],
    ['bytes=1-2-3', 10, 'all'],
    ['items=0-1', 10, 'all'],
    ['bytes 0-1', 10, 'all'],
    [`bytes=0-${'9'.repeat(400)}`, 10, [[0, 9]]],
  ];
  for (const [header, size, ranges] of table) {
    const expected = ranges === 'all' ? 'all' : ranges.map(([first, last]) => ({ first, last }));
    deepEqual(parseRange(header, size), expected, `${header} of ${size}`);
  }
});

test('parsed ranges always lie within the content', () => {
  const part = fc
    .tuple(fc.option(fc.nat(300)), fc.option(fc.nat(300)))
    .map(([a, b]) => `${a ?? ''}-${b ?? ''}`);
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), fc.nat(200), (parts, size) => {
      const ranges = parseRange(`bytes=${parts.join(',')}`, size);
      if (ranges === 'all') return;
      for (const { first, last } of ranges) equal(0 <= first && first <= last && last < size, true);
    }),
  );
});

test('the Content-Range of a chunk is parsed, and an invalid one is refused', () => {
  deepEqual(parseContentRange('0-1023'), { first: 0, last: 1023 });
  deepEqual(parseContentRange('bytes 5-5/100'), { first: 5, last: 5 });
  deepEqual(parseContentRange('bytes=5-6'), { first: 5, last: 6 });
  for (const bad of ['', '-', '5', '5-', '-5', '6-5', 'a-b', '0-1-2', '0x1-2', `0-${'9'.repeat(30)}`]) {
    throws(() => parseContentRange(bad), { code: 'upload-invalid' }, bad);
  }
  deepEqual([0, 1, 10].map(uploadRange), ['0-0', '0-0', '0-9']);
});

test('If-None-Match and If-Range of a read are evaluated', () => {
  const etag = etagOf('sha256:aa');
  equal(isFresh({}, 'sha256:aa'), false);
  equal(isFresh({ 'if-none-match': etag }, 'sha256:aa'), true);
  equal(isFresh({ 'if-none-match': `"x", W/${etag}` }, 'sha256:aa'), true);
  equal(isFresh({ 'if-none-match': '*' }, 'sha256:aa'), true);
  equal(isFresh({ 'if-none-match': '"sha256:ab"' }, 'sha256:aa'), false);
  equal(rangeFor({ range: 'bytes=0-1' }, 'sha256:aa'), 'bytes=0-1');
  equal(rangeFor({ range: 'bytes=0-1', 'if-range': `W/${etag}` }, 'sha256:aa'), undefined);
  equal(rangeFor({ range: 'bytes=0-1', 'if-range': etag }, 'sha256:aa'), 'bytes=0-1');
  equal(rangeFor({ range: 'bytes=0-1', 'if-range': '"other"' }, 'sha256:aa'), undefined);
});

test('a write is allowed or refused by its preconditions', () => {
  const [current, other] = [etagOf('sha256:aa'), '"other"'];
  const table: [IncomingHttpHeaders, found: string | undefined, allowed: boolean][] = [
    [{}, undefined, true],
    [{}, 'sha256:aa', true],
    [{ 'if-match': current }, 'sha256:aa', true],
    [{ 'if-match': `${other}, ${current}` }, 'sha256:aa', true],
    [{ 'if-match': `W/${current}` }, 'sha256:aa', false],
    [{ 'if-match': other }, 'sha256:aa', false],
    [{ 'if-match': current }, undefined, false],
    [{ 'if-match': '*' }, 'sha256:aa', true],
    [{ 'if-match': '*' }, undefined, false],
    [{ 'if-none-match': '*' }, 'sha256:aa', false],
    [{ 'if-none-match': '*' }, undefined, true],
    [{ 'if-none-match': current }, 'sha256:aa', false],
    [{ 'if-none-match': other }, 'sha256:aa', true],
    [{ 'if-match': current, 'if-none-match': current }, 'sha256:aa', false],
  ];
  for (const [headers, found, allowed] of table) {
    equal(allows(headers, found), allowed, `${JSON.stringify(headers)} of ${found}`);
  }
});
