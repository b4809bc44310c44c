import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { bodyOf } from '../../../../services/syncer/link/http/sending.ts';
import { UploadCapabilities } from '../../../../services/syncer/link/parent/upload-capabilities.ts';
import { UploadClient } from '../../../../services/syncer/link/parent/upload-client.ts';
import {
  type Quirk,
  refused,
  scriptedRegistry,
} from '../../../support/registry/scripted/scripted-registry.ts';

const { signal } = new AbortController();
const digest = `sha256:${'a'.repeat(64)}`;
const sha512 = `sha512:${'a'.repeat(128)}`;
const bytes = bodyOf(Buffer.from('0123456789'));

/** @param present answers of the parent whether it has the blob, one after the other; the last one stays */
async function client(quirk: Quirk, present: boolean[] = [false]) {
  const registry = await scriptedRegistry({ quirk });
  const link = new ParentLink({ url: registry.url });
  const capabilities = new UploadCapabilities();
  let asked = 0;
  const uploads = new UploadClient({
    base: link.base,
    ask: (path, options) => link.request(path, options),
    hasBlob: async () => {
      asked += 1;
      return present[Math.min(asked, present.length) - 1] ?? false;
    },
    capabilities,
    checks: { firstMs: 1, maxMs: 1 },
  });
  return {
    registry,
    uploads,
    capabilities,
    get asked() {
      return asked;
    },
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

test('a mount that the parent answers with success is believed once the blob is there', async () => {
  for (const status of [200, 201, 204]) {
    await using there = await client(() => ({ status }), [true]);
    assert.equal(await there.uploads.mount('a', digest, 'b', signal), 'mounted');
    await using missing = await client(() => ({ status }));
    assert.equal(await missing.uploads.mount('a', digest, 'b', signal), undefined);
  }
});

test('a parent that knows no mounts is asked for none again', async () => {
  for (const status of [405, 501]) {
    await using parent = await client(() => ({ status }));
    assert.equal(await parent.uploads.mount('a', digest, 'b', signal), undefined);
    const before = parent.registry.requests.length;
    assert.equal(await parent.uploads.mount('a', digest, 'c', signal), undefined);
    assert.equal(parent.registry.requests.length, before);
  }
});

test('a mount that fails for one repository is tried for another', async () => {
  for (const status of [400, 401, 403, 404]) {
    await using parent = await client(
      ({ url }) => (url.searchParams.get('from') === 'b' ? { status } : { status: 201 }),
      [true],
    );
    await assert.rejects(parent.uploads.mount('a', digest, 'b', signal), { code: 'parent-refused' });
    assert.equal(await parent.uploads.mount('a', digest, 'c', signal), 'mounted');
  }
});

test('a parent that refuses to be told the algorithm of a digest is not told again', async () => {
  await using parent = await client(({ url }) =>
    url.searchParams.has('digest-algorithm') ? refused(400, 'UNSUPPORTED') : undefined,
  );
  await parent.uploads.begin('a', sha512, signal);
  await parent.uploads.begin('a', sha512, signal);
  assert.deepEqual(
    parent.registry.requests.map(({ url }) => url.search),
    ['?digest-algorithm=sha512', '', ''],
  );
});

test('a signed address that expired has lost the session', async () => {
  await using storage = await scriptedRegistry({ quirk: () => ({ status: 403, body: 'expired' }) });
  await using parent = await client(() => undefined);
  const session = { location: `${storage.url}/upload?signature=x`, offset: 5 };
  await assert.rejects(parent.uploads.append('a', session, bytes, signal), { code: 'upload-unknown' });
  await assert.rejects(parent.uploads.finish('a', digest, session, bytes, signal), {
    code: 'upload-unknown',
  });
  assert.equal(await parent.uploads.findSession('a', session.location, signal), undefined);
});

test('a blob that the parent took is waited for, and is not taken if it never appears', async () => {
  await using late = await client(() => undefined, [false, false, true]);
  await late.uploads.confirm('a', digest, 'taken', signal);
  assert.equal(late.asked, 3);
  await late.uploads.confirm('a', digest, 'confirmed', signal);
  assert.equal(late.asked, 3, 'its digest was in the answer');
  for (const [finished, checks] of [
    ['taken', 6],
    ['accepted', 12],
  ] as const) {
    await using never = await client(() => undefined);
    await assert.rejects(never.uploads.confirm('a', digest, finished, signal), {
      code: 'parent-refused',
      detail: { status: 404, unconfirmed: true },
    });
    assert.equal(never.asked, checks);
  }
});

test('a Range that turns out to be behind is not believed again', async () => {
  await using parent = await client(({ method, path, headers }, regular) => {
    if (!path.includes('/blobs/uploads/')) return undefined;
    const reply = regular();
    const range = headers['content-range'] === '0-9' ? '0-4' : '0-9';
    return method === 'POST' ? reply : { ...reply, headers: { ...reply.headers, range } };
  });
  const begun = await parent.uploads.begin('a', digest, signal);
  const reported = await parent.uploads.append('a', begun, bytes, signal);
  assert.deepEqual([reported.offset, parent.capabilities.hasStaleRange], [10, true]);
});

test('after a piece that the parent counts as shorter, the offset that it took is tried', async () => {
  await using parent = await client(({ method, path }, regular) => {
    if (!path.includes('/blobs/uploads/') || method === 'POST') return undefined;
    const reply = regular();
    return { ...reply, headers: { ...reply.headers, range: '0-4' } };
  });
  const begun = await parent.uploads.begin('a', digest, signal);
  const reported = await parent.uploads.append('a', begun, bytes, signal);
  assert.deepEqual([reported.offset, reported.taken], [5, 10]);
  const tried = await parent.uploads.append('a', reported, bytes, signal);
  assert.equal(tried.offset, 10);
  assert.equal((await parent.uploads.append('a', tried, bytes, signal)).offset, 20);
});
