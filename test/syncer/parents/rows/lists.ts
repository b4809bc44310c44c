import assert from 'node:assert/strict';
import {
  type Reply,
  refused,
  type ScriptedRegistry,
  type ScriptedRequest,
} from '../../../support/registry/scripted/scripted-registry.ts';
import { type Checked, type Row, serves } from '../parent-rig.ts';

const tagsOf = (count: number) => Array.from({ length: count }, (_, at) => `t${String(at).padStart(4, '0')}`);

/** An image with this number of tags. */
const tagged = (count: number) => (registry: ScriptedRegistry) => {
  const ok = registry.content.image('app', 't0000');
  for (const tag of tagsOf(count)) registry.content.of('app').tags.set(tag, ok.digest);
  return { ok };
};

/** Asserts that the layer has this number of tags. */
const hasTags =
  (count: number) =>
  async ({ layer, pass }: Checked) => {
    assert.deepEqual([pass.ok, pass.failures], [true, []]);
    const answer = await fetch(`${layer.layer.url}/v2/app/tags/list?n=1000`);
    const { tags } = (await answer.json()) as { tags: string[] };
    assert.deepEqual(tags, tagsOf(count));
  };

const isList = ({ path }: ScriptedRequest) => path.endsWith('/tags/list');

/** The regular answer, cut after 100 tags, without a link. */
function cut(reply: Reply): Reply {
  const { tags } = JSON.parse(String(reply.body)) as { tags: string[] };
  return { status: 200, body: JSON.stringify({ name: 'app', tags: tags.slice(0, 100) }) };
}

export const rows: Row[] = [
  {
    name: 'a list refuses pages of more than 100 tags',
    content: tagged(3),
    quirk: (request) =>
      isList(request) && Number(request.url.searchParams.get('n')) > 100
        ? refused(400, 'PAGINATION_NUMBER_INVALID')
        : undefined,
    has: ['ok'],
    check: hasTags(3),
  },
  {
    name: 'a list is cut after 100 tags, without a link',
    content: tagged(151),
    quirk: (request, { regular }) => (isList(request) ? cut(regular()) : undefined),
    check: hasTags(151),
  },
  {
    name: 'a list of 100 tags ignores where a page begins',
    content: tagged(100),
    quirk: (request, { regular }) => {
      if (!isList(request)) return undefined;
      request.url.searchParams.delete('last');
      return cut(regular());
    },
    check: hasTags(100),
  },
  {
    name: 'HEAD of one listed tag is answered with 404, and the tag exists',
    content: ({ content }) => ({ ok: content.image('app', 'ok'), t: content.image('app', 't') }),
    quirk: ({ method, path }) =>
      method === 'HEAD' && path.endsWith('/manifests/t') ? refused(404, 'MANIFEST_UNKNOWN') : undefined,
    passes: 2,
    has: ['ok', 't'],
    check: async ({ registry, layer }) => {
      const asked = (method: string) => registry.count(method, /\/manifests\/t$/);
      const gets = asked('GET');
      await layer.pass();
      assert.deepEqual(
        [asked('HEAD'), asked('GET')],
        [1, gets + 1],
        'from then on, each pass reads it by GET',
      );
    },
  },
  {
    name: 'a list lacks a tag whose HEAD is answered with 404, and the tag exists',
    content: ({ content }) => ({ ok: content.image('app', 'ok'), t: content.image('app', 't') }),
    quirk: (request, { regular, registry }) => {
      const { method, path } = request;
      const isRead = registry.count('GET', /\/blobs\//) > 0;
      if (isRead && method === 'HEAD' && path.endsWith('/manifests/t'))
        return refused(404, 'MANIFEST_UNKNOWN');
      if (!isRead || !isList(request)) return undefined;
      return { ...regular(), body: JSON.stringify({ name: 'app', tags: ['ok'] }) };
    },
    passes: 2,
    has: ['ok', 't'],
    check: async ({ layer }) => {
      assert.ok((await fetch(`${layer.layer.url}/v2/app/manifests/t`)).ok, 'the tag is here');
    },
  },
  {
    name: 'names in the list that are no valid tags',
    content: ({ content }) => {
      const ok = content.image('app', 'ok');
      const { tags } = content.of('app');
      for (const name of ['v1+build', 'a b', 'x'.repeat(200), '\u001b[31m']) tags.set(name, ok.digest);
      return { ok };
    },
    passes: 2,
    has: ['ok'],
    reported: /^1 of 5 images are complete; left out: 4 tags \(app:.*is no valid name: use letters, digits/,
    check: async ({ registry, layer, pass }) => {
      assert.doesNotMatch(JSON.stringify(pass), /\\u001b/);
      const { tags } = registry.content.of('app');
      for (const name of tags.keys()) if (name !== 'ok') tags.delete(name);
      assert.equal((await layer.pass()).ok, true);
    },
  },
  {
    name: 'names in the list that are no valid tags, and that the filter does not cover',
    content: ({ content }) => {
      const ok = content.image('app', '1.0.0');
      for (const name of ['1.0.1+build', 'a b']) content.of('app').tags.set(name, ok.digest);
      return { ok };
    },
    fields: { repositories: [{ name: 'app', tags: { semver: '1.x', latest: 1 } }] },
    has: ['ok'],
    reported: /left out: 1 tag \(app:1\.0\.1\+build: /,
  },
  {
    name: 'a listed tag is missing for HEAD and refused for GET',
    content: ({ content }) => ({ ok: content.image('app', 'ok'), t: content.image('app', 't') }),
    quirk: ({ path, method }) =>
      path.endsWith('/manifests/t') ? refused(method === 'HEAD' ? 404 : 403, 'DENIED') : undefined,
    check: async ({ layer, named, pass }) => {
      assert.ok(await serves(layer, named.ok));
      assert.deepEqual([pass.failed, pass.leftOut?.tags], [1, undefined], 'it is reported once');
    },
  },
  {
    name: 'a listed tag that is missing is read once, and again by a full pass',
    content: ({ content }) => {
      content.of('app').tags.set('lost', `sha256:${'b'.repeat(64)}`);
      return { ok: content.image('app', 'ok') };
    },
    passes: 3,
    has: ['ok'],
    reported: /1 tag \(app:lost: /,
    check: async ({ registry, layer }) => {
      const asked = () => registry.count('GET', /\/manifests\/lost$/);
      // The first pass finds no HEAD that the parent has answered, and prefetches the manifest of a new tag.
      assert.ok(asked() <= 3, `${asked()} requests`);
      const before = asked();
      await layer.pass({ full: true });
      assert.equal(asked(), before + 1);
    },
  },
  {
    name: 'a parent limits requests for manifests',
    content: tagged(31),
    quirk: ({ path }) =>
      path.includes('/manifests/')
        ? { ...refused(429, 'TOOMANYREQUESTS'), headers: { 'retry-after': '600' } }
        : undefined,
    passes: 2,
    lacks: ['ok'],
    check: ({ registry, link, pass }) => {
      const asked = registry.requests.filter(({ path }) => path.includes('/manifests/'));
      assert.ok(asked.length > 0 && asked.length <= 16, `${asked.length} requests`);
      assert.deepEqual([link.state, link.code, pass.ok], ['Unhealthy', 'busy', false]);
      assert.match(link.detail ?? '', /the parent limits requests until \d{4}-\d\d-\d\dT/);
    },
  },
];
