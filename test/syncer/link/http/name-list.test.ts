import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { serveHttp } from '../../../support/http-server.ts';

const { signal } = new AbortController();

type Answer = { status?: number; link?: string; names?: unknown; code?: string };
type Parent = (query: { n: number | undefined; last: string | undefined; url: string }) => Answer;

/** A parent whose list of tags is `parent`; `asked` lists the queries. */
async function serving(parent: Parent, field = 'tags') {
  const asked: string[] = [];
  const server = await serveHttp((request, response) => {
    const url = request.url ?? '';
    const { search, searchParams } = new URL(url, 'http://x');
    asked.push(search);
    const n = searchParams.has('n') ? Number(searchParams.get('n')) : undefined;
    const {
      status = 200,
      link,
      names,
      code,
    } = parent({ n, last: searchParams.get('last') ?? undefined, url });
    if (link !== undefined) response.setHeader('link', link);
    const body = code ? { errors: [{ code }] } : { [field]: names };
    response.writeHead(status).end(status === 200 || code ? JSON.stringify(body) : '');
  });
  const clock = { now: 0 };
  const link = new ParentLink({ url: server.url, now: () => clock.now });
  return {
    asked,
    clock,
    registry: new ParentRegistry(link),
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const tagsOf = (count: number, from = 0) =>
  Array.from({ length: count }, (_, at) => `t${String(from + at).padStart(4, '0')}`);

/** A list of `count` tags, of which an answer has `size` at most. */
const cutting =
  (count: number, size: number, more: (last: string) => string | undefined = () => undefined): Parent =>
  ({ last = '' }) => {
    const all = tagsOf(count).filter((tag) => tag > last);
    const names = all.slice(0, size);
    const link = all.length > size ? more(names.at(-1) as string) : undefined;
    return { names, ...(link && { link }) };
  };

/** Lists, the number of their tags, and the number of requests to read them. */
const LISTS: [name: string, parent: Parent, tags: number, requests: number][] = [
  ['complete, of an odd size', cutting(151, 1_000), 151, 1],
  ['complete, of a round size', cutting(100, 1_000), 100, 2],
  ['cut without links', cutting(151, 100), 151, 2],
  ['cut without links, in pages of 128', cutting(300, 128), 300, 3],
  ['cut without links, in round pages', cutting(300, 100), 300, 4],
  ['cut at the requested size', cutting(1_001, 1_000), 1_001, 2],
  [
    'cut without links after a link',
    ({ last, ...query }) =>
      last ? cutting(250, 70)({ ...query, last }) : { names: tagsOf(70), link: '<?last=t0069>; rel=next' },
    250,
    4,
  ],
  ['with links', cutting(151, 100, (last) => `</v2/app/tags/list?n=100&last=${last}>; rel="next"`), 151, 2],
  [
    'with links without quotes',
    cutting(151, 100, (last) => `</v2/app/tags/list?last=${last}>;rel=next`),
    151,
    2,
  ],
  [
    'with links to another host',
    cutting(151, 100, (last) => `<http://in:5/v2/app/tags/list?last=${last}>; rel="next"`),
    151,
    2,
  ],
  [
    'with links below another path',
    cutting(151, 100, (last) => `<https://in/api/key/v2/app/tags/list?last=${last}>; rel="next"`),
    151,
    2,
  ],
  [
    'with links relative to the registry',
    cutting(151, 100, (last) => `<v2/app/tags/list?last=${last}>; rel="next"`),
    151,
    2,
  ],
  ['with links to the same page', cutting(230, 100, () => '</v2/app/tags/list?n=1000>; rel="next"'), 230, 3],
  [
    'a link on the last page to itself',
    () => ({ names: tagsOf(3), link: '</v2/app/tags/list?n=1000>; rel="next"' }),
    3,
    2,
  ],
  ['that ignore where a page begins', () => ({ names: tagsOf(100) }), 100, 2],
  [
    'that refuse the page after a name',
    ({ last }) => (last ? { status: 400 } : { names: tagsOf(100) }),
    100,
    2,
  ],
  [
    'that answer the page after a name with a page',
    ({ last }) => (last ? { names: '<html>' } : { names: tagsOf(100) }),
    100,
    2,
  ],
  [
    'that repeat names across pages',
    ({ last }) => (last ? { names: tagsOf(60, 90) } : { names: [...tagsOf(100)].reverse() }),
    150,
    2,
  ],
  [
    'in no order',
    ({ last }) =>
      last ? { names: tagsOf(150).filter((tag) => tag > last) } : { names: tagsOf(100).reverse() },
    150,
    2,
  ],
  ['null', () => ({ names: null }), 0, 1],
  [
    'with entries that are no strings',
    () => ({ names: [null, 7, 't0000', { id: 'x' }, ['y'], 't0000'] }),
    1,
    1,
  ],
  [
    'an empty page in between',
    ({ last }) =>
      last === 'a'
        ? { names: tagsOf(2, 2) }
        : last
          ? { names: [], link: '<?last=a>; rel="next"' }
          : { names: tagsOf(2), link: '<?last=t0001>; rel="next"' },
    4,
    4,
  ],
];

for (const [name, parent, tags, requests] of LISTS) {
  test(`a list is read completely: ${name}`, async () => {
    await using server = await serving(parent);
    assert.deepEqual((await server.registry.tags('app', signal))?.sort(), tagsOf(tags));
    assert.equal(server.asked.length, requests, server.asked.join(' '));
  });
}

/** Refusals of the size of a page. */
const REFUSALS: Answer[] = [400, 404, 405, 406, 414, 416, 422, 501].map((status) => ({ status }));
REFUSALS.push({ status: 400, code: 'PAGINATION_NUMBER_INVALID' });

for (const refusal of REFUSALS) {
  test(`a parent that refuses the size of a page is asked without it: ${Object.values(refusal).join(' ')}`, async () => {
    await using server = await serving((query) => (query.n ? refusal : cutting(151, 100)(query)));
    for (const _ of [1, 2]) assert.deepEqual(await server.registry.tags('app', signal), tagsOf(151));
    assert.deepEqual(server.asked, ['?n=1000', '', '?last=t0099', '', '?last=t0099']);
  });
}

test('a parent that refused the size of a page is asked with it again after six hours', async () => {
  let isUpgraded = false;
  await using server = await serving((query) =>
    query.n && !isUpgraded ? { status: 400 } : { names: tagsOf(3) },
  );
  for (const _ of [1, 2]) await server.registry.tags('app', signal);
  isUpgraded = true;
  server.clock.now += 6 * 60 * 60_000;
  await server.registry.tags('app', signal);
  assert.deepEqual(server.asked, ['?n=1000', '', '', '?n=1000']);
});

test('a missing repository costs one request if the parent says so, and its catalog is read without a size, too', async () => {
  await using missing = await serving(() => ({ status: 404, code: 'NAME_UNKNOWN' }));
  assert.equal(await missing.registry.tags('app', signal), undefined);
  assert.deepEqual(missing.asked, ['?n=1000']);
  await using plain = await serving(() => ({ status: 404 }));
  assert.equal(await plain.registry.tags('app', signal), undefined);
  assert.deepEqual(plain.asked, ['?n=1000', '']);
  await using catalog = await serving(
    (query) => (query.n ? { status: 400 } : cutting(120, 100)(query)),
    'repositories',
  );
  assert.deepEqual(await Array.fromAsync(catalog.registry.repositories(signal)), tagsOf(120));
});

test('a list that links to more pages, but sends the same again, is refused', async () => {
  let page = 0;
  const parents: Parent[] = [
    () => ({ names: tagsOf(100), link: '</v2/app/tags/list?n=1000>; rel="next"' }),
    () => ({ names: tagsOf(100), link: '</v2/app/tags/list?last=t0099>; rel="next"' }),
    () => ({ names: tagsOf(7), link: `</v2/app/tags/list?page=${page++}>; rel="next"` }),
    ({ last }) =>
      last ? { status: 404 } : { names: tagsOf(100), link: '</v2/app/tags/list?n=1000>; rel="next"' },
  ];
  for (const parent of parents) {
    await using server = await serving(parent);
    await assert.rejects(server.registry.tags('app', signal), {
      code: 'parent-invalid',
      message: /does not end/,
    });
    assert.ok(server.asked.length < 30);
  }
});
