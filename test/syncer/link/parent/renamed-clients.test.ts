import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RepositoryNames } from '#proto/oci/repository-names.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { AcrMetadata } from '../../../../services/syncer/link/parent/acr-metadata.ts';
import { ParentArriving } from '../../../../services/syncer/link/parent/arriving.ts';
import { ParentFeed } from '../../../../services/syncer/link/parent/parent-feed.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { PushClient } from '../../../../services/syncer/link/parent/push-client.ts';
import {
  RenamedParentRegistry,
  RenamedPushClient,
  RenamedUploadClient,
} from '../../../../services/syncer/link/parent/renamed-clients.ts';
import { UploadClient } from '../../../../services/syncer/link/parent/upload-client.ts';
import { serveHttp } from '../../../support/http-server.ts';

const { signal } = new AbortController();
const digest = `sha256:${'ab'.repeat(32)}`;

/** Members that say nothing of a repository. */
const NOT_OF_A_REPOSITORY = ['constructor', 'ping', 'answers'];

for (const [plain, renamed] of [
  [ParentRegistry, RenamedParentRegistry],
  [PushClient, RenamedPushClient],
  [UploadClient, RenamedUploadClient],
]) {
  test(`${renamed!.name} translates the names of repositories in all members of ${plain!.name}`, () => {
    const members = (type: { prototype: object }) => Object.getOwnPropertyNames(type.prototype);
    const expected = members(plain!).filter((name) => !NOT_OF_A_REPOSITORY.includes(name));
    assert.deepEqual(
      expected.filter((name) => !members(renamed!).includes(name)),
      [],
    );
  });
}

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
