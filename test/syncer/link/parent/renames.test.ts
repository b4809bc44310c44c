import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RepositoryNames } from '#proto/oci/repository-names.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { bodyOf } from '../../../../services/syncer/link/http/sending.ts';
import { AcrMetadata } from '../../../../services/syncer/link/parent/acr-metadata.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { PushClient } from '../../../../services/syncer/link/parent/push-client.ts';
import { ParentArriving } from '../../../../services/syncer/link/terrace/arriving.ts';
import { ParentFeed } from '../../../../services/syncer/link/terrace/parent-feed.ts';
import { serveHttp } from '../../../support/http-server.ts';

const { signal } = new AbortController();
const digest = `sha256:${'ab'.repeat(32)}`;

/** A parent that answers every request with this JSON, and a link to it. */
async function answering(answer: object) {
  const requests: string[] = [];
  const server = await serveHttp(({ url = '' }, response) => {
    requests.push(url);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  const link = new ParentLink({ url: server.url });
  return {
    link,
    requests,
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const names = new RepositoryNames([{ name: 'cell/*', from: 'line/*' }]);

const size = 4;
const extent = { start: 0, end: size };
const body = () => bodyOf(Buffer.alloc(size));
const session = { location: '/v2/line/a/blobs/uploads/1', offset: 0 };

/** Calls of all members that name a repository. */
const CALLS: {
  [K in 'registry' | 'pushClient' | 'uploads']: (
    client: Clients[K],
  ) => Partial<Record<keyof Clients[K] & string, () => unknown>>;
} = {
  registry: (client) => ({
    tags: () => client.tags('cell/a', signal),
    resolve: () => client.resolve('cell/a', 'v1', signal),
    manifest: () => client.manifest('cell/a', 'v1', signal),
    taggedManifest: () => client.taggedManifest('cell/a', 'v1', digest, signal),
    referrers: () => client.referrers('cell/a', digest, signal),
    blobSize: () => client.blobSize('cell/a', digest, signal),
    blob: () => client.blob('cell/a', digest, size, extent, signal),
    blobParts: () => client.blobParts('cell/a', digest, size, [extent, { start: 8, end: 9 }], signal),
  }),
  pushClient: (client) => ({
    hasBlob: () => client.hasBlob('cell/a', digest, signal),
    hasManifest: () => client.hasManifest('cell/a', digest, signal),
    putManifest: () =>
      client.putManifest('cell/a', 'v1', { bytes: Buffer.from('{}'), mediaType: '' }, signal),
    deleteManifest: () => client.deleteManifest('cell/a', digest, signal),
    deleteTag: () => client.deleteTag('cell/a', 'v1', { expect: digest }, signal),
    guarded: () => client.guarded(() => {}).hasBlob('cell/a', digest, signal),
  }),
  uploads: (client) => ({
    mount: () => client.mount('cell/a', digest, 'cell/b', signal),
    begin: () => client.begin('cell/a', digest, signal),
    findSession: () => client.findSession('cell/a', session.location, signal),
    cancel: () => client.cancel('cell/a', session.location, signal),
    append: () => client.append('cell/a', session, body(), signal),
    finish: () => client.finish('cell/a', digest, session, body(), signal),
    confirm: () => client.confirm('cell/a', digest, 'taken', signal),
  }),
};

/** Members that request nothing of one repository. */
const OTHERS = [
  'constructor',
  'ping',
  'answers',
  'roundTripMs',
  'prepareConnections',
  'repositories',
  'projectRepositories',
  'hasReferrers',
  'hiddenReferrers',
  'hiddenReferrersAbove',
  'recheckReferrers',
  'invalidateBlob',
];

/** A client of a parent that demands a token, and what was requested of it: paths and scopes. */
async function tokenParent() {
  const requests: string[] = [];
  const server = await serveHttp(({ url = '', headers }, response) => {
    const { host } = headers;
    if (url.startsWith('/token')) {
      requests.push(...new URL(url, 'http://parent').searchParams.getAll('scope'));
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"token":"t"}');
    } else if (headers.authorization === undefined) {
      const challenge = `Bearer realm="http://${host}/token",service="parent"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    } else {
      requests.push(decodeURIComponent(url));
      response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
    }
  });
  const link = new ParentLink({ url: server.url });
  const pushClient = new PushClient(link, names);
  return {
    clients: { registry: new ParentRegistry(link, names), pushClient, uploads: pushClient.uploads },
    requests,
    [Symbol.asyncDispose]: async () => {
      await link[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
type Clients = Awaited<ReturnType<typeof tokenParent>>['clients'];

for (const kind of ['registry', 'pushClient', 'uploads'] as const) {
  test(`each request of a client (${kind}) names the repository as the parent does, in path and scope`, async () => {
    await using parent = await tokenParent();
    const { clients, requests } = parent;
    const client = clients[kind];
    const calls = CALLS[kind](client as never) as Record<string, () => Promise<unknown>>;
    const members = Object.getOwnPropertyNames(Object.getPrototypeOf(client));
    assert.deepEqual(members.filter((name) => !OTHERS.includes(name)).sort(), Object.keys(calls).sort());
    for (const [name, call] of Object.entries(calls)) {
      requests.length = 0;
      await call().catch(() => {});
      assert.ok(requests.length > 0, `${name} requests nothing`);
      assert.deepEqual(
        requests.filter((request) => request.includes('cell/') || !request.includes('line/')),
        [],
        name,
      );
    }
  });
}

test('a blob that is not sent is named as at the parent', async () => {
  await using parent = await serveHttp((_, response) => response.writeHead(404).end());
  await using link = new ParentLink({ url: parent.url });
  const registry = new ParentRegistry(link, names);
  await assert.rejects(registry.blob('cell/a', digest, size, extent, signal), /line\/a/);
});

test('lists of the parent give the names here', async () => {
  await using parent = await answering({ repositories: ['line/a', 'other', 'cell/a'] });
  const registry = new ParentRegistry(parent.link, names);
  assert.deepEqual(await Array.fromAsync(registry.repositories(signal)), ['cell/a', 'other']);
});

test('names that are not valid are given with the names that they would have here', async () => {
  await using parent = await answering({ repositories: ['Line/A', 'Cell/A', 'Other', 'x//Y'] });
  const registry = new ParentRegistry(parent.link, names);
  const invalid: string[][] = [];
  await Array.fromAsync(registry.repositories(signal, (...given) => invalid.push(given)));
  assert.deepEqual(invalid, [
    ['Line/A', 'cell/a'],
    ['Other', 'other'],
    ['x//Y', 'x//y'],
  ]);
});

test('the changes of a Terrace are those of the repositories here', async () => {
  const changes = [
    { repository: 'line/a', tag: 'v1', digest },
    { repository: 'line/a', around: digest },
    { repository: 'other', tag: 'v1', digest: null },
    // Its name is taken here.
    { repository: 'cell/a', tag: 'v1', digest },
  ];
  await using parent = await answering({ cursor: '1', lost: false, more: false, changes });
  const feed = new ParentFeed(parent.link, 'cell', { confirmed() {}, invalidate() {} }, names);
  assert.deepEqual((await feed.changes(undefined, 0, signal))?.changes, [
    { repository: 'cell/a', tag: 'v1', digest },
    { repository: 'cell/a', around: digest },
    { repository: 'other', tag: 'v1', digest: null },
  ]);
});

test('content that a Terrace is receiving is of the repositories here, and requested by the name there', async () => {
  const blob = (repository: string) => ({ repository, digest, size: 4, attempt: 'a' });
  await using parent = await answering({ cursor: 'a', blobs: [blob('line/a'), blob('cell/a')] });
  const arriving = new ParentArriving(parent.link, undefined, names);
  assert.deepEqual((await arriving.list(undefined, 0, signal))?.blobs, [blob('cell/a')]);
  const extent = { start: 0, end: 4 };
  await arriving
    .source()
    .blob('cell/a', digest, 4, extent, signal)
    .catch(() => {});
  assert.match(parent.requests.at(-1) ?? '', /[?&]repository=line%2Fa(?:&|$)/);
});

test('the metadata of a registry of Azure are requested by the names there', async () => {
  await using parent = await answering({ lastUpdateTime: '2030-01-01T00:00:00Z', tags: [], manifests: [] });
  const acr = new AcrMetadata(parent.link, names);
  assert.deepEqual(
    [...acr.scopes(['cell/a', 'other'])],
    ['cell/a', 'other'].map((name) => [
      name,
      'repository:line/a:metadata_read repository:other:metadata_read',
    ]),
  );
  await acr.lastChange('cell/a', '', signal);
  await Array.fromAsync(acr.tags('cell/a', false, signal));
  assert.deepEqual(
    parent.requests.map((path) => path.split('?')[0]),
    ['/acr/v1/line/a', '/acr/v1/line/a/_tags'],
  );
});
