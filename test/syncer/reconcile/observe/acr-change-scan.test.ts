import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';
import { listBases, missingManifests } from '#proto/content/manifests.ts';
import type { Digest } from '#proto/oci/names.ts';
import { listMarks, listSubjects, type Mark, storeMarks } from '#proto/sync/marks.ts';
import type { FencedBus } from '../../../../services/syncer/leadership/fenced-bus.ts';
import { ParentLink } from '../../../../services/syncer/link/http/parent-link.ts';
import { AcrMetadata } from '../../../../services/syncer/link/parent/acr-metadata.ts';
import { ParentRegistry } from '../../../../services/syncer/link/parent/parent-registry.ts';
import { AcrChangeScan } from '../../../../services/syncer/reconcile/observe/acr-change-scan.ts';
import { Acr, ALL } from '../../../support/azure/acr.ts';
import { Authority } from '../../../support/certificates.ts';
import { pushImage } from '../../../support/registry/image.ts';

/** The change scan of an Azure Container Registry, with accounts of different permissions. */

const { signal } = new AbortController();
const stack = new AsyncDisposableStack();
const readActions = ['pull', 'metadata_read'];
const accounts = {
  all: ALL,
  scoped: { app: readActions, other: readActions },
  half: { app: readActions, other: ['pull'] },
};
let acr: Acr;
let ca: string;

before(async () => {
  const authority = stack.use(await Authority.create());
  ca = await readFile(authority.certificate, 'utf8');
  const holders = Object.entries(accounts).map(([username, rights]) => ({
    account: { username, password: 'p' },
    rights,
  }));
  acr = stack.use(await Acr.start({ authority, holders }));
});
after(() => stack.disposeAsync());
beforeEach(async () => {
  acr.store.repositories.clear();
  for (const name of ['app', 'other']) await pushImage(acr.backendUrl, name, 'v1');
  acr.clearRequests();
});

type Query = {
  repository?: string;
  digests?: Digest[];
  marks?: { repository: string; mark: Mark | null }[];
};

/** A scan with a test storage. Layer and parent agree on the tags in `bases`. */
function fixture(username: keyof typeof accounts, names: string[]) {
  const marks = new Map<string, Mark>();
  const bases = new Map<string, Map<string, Digest>>();
  const call = async (contract: unknown, query: Query): Promise<unknown> => {
    if (contract === listMarks) {
      return { marks: [...marks].map(([repository, mark]) => ({ repository, mark })), more: false };
    }
    if (contract === storeMarks) {
      for (const { repository, mark } of query.marks ?? []) {
        if (mark) marks.set(repository, mark);
        else marks.delete(repository);
      }
      return {};
    }
    if (contract === listBases) {
      const tags = [...(bases.get(query.repository ?? '') ?? [])].map(([tag, digest]) => ({ tag, digest }));
      return { tags, more: false };
    }
    if (contract === missingManifests) return { digests: query.digests };
    if (contract === listSubjects) return { referrers: [], more: false };
    return assert.fail('unexpected request');
  };
  const link = new ParentLink({ url: acr.url, ca, azure: {}, login: { username, password: 'p' } });
  const deps = {
    acr: new AcrMetadata(link),
    parent: new ParentRegistry(link),
    repositories: names.map((name) => ({
      name,
      referrers: true,
      priority: 0,
      conflict: 'parent-wins' as const,
    })),
    signal,
  };
  const bus = { call } as unknown as FencedBus;
  const clock = { now: 0 };
  let changeScan = new AcrChangeScan(bus, () => clock.now);
  return {
    marks,
    clock,
    scan: (scopeHash = 'this', full = false) => changeScan.scan(deps, { scopeHash, full }),
    restart: () => {
      changeScan = new AcrChangeScan(bus, () => clock.now);
    },
    /** Stores the bases as a pass does that carried out everything. */
    setBases: () => {
      for (const [name, { tags }] of acr.store.repositories) {
        bases.set(name, new Map([...tags].map(([tag, { digest }]) => [tag, digest as Digest])));
      }
    },
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  };
}

/** Runs the first scan, which compares everything. */
async function settle(layer: ReturnType<typeof fixture>): Promise<void> {
  const view = await layer.scan();
  assert.ok(view && view.parentChanges === undefined);
  layer.setBases();
  await view.finish({ good: true });
}

test('marks move once all changes were carried out, and survive a restart', async () => {
  await using layer = fixture('all', ['*']);
  await settle(layer);
  const before = layer.marks.get('app');
  await pushImage(acr.backendUrl, 'app', 'v2');
  for (const attempt of [1, 2]) {
    const view = await layer.scan();
    assert.deepEqual([...(view?.parentChanges?.keys() ?? [])], ['app'], `${attempt}`);
    assert.ok(view?.parentChanges?.get('app')?.tags.has('v2'));
    await view?.finish({ good: false });
    assert.equal(layer.marks.get('app'), before);
    layer.restart();
  }
  layer.setBases();
  await (await layer.scan())?.finish({ good: true });
  assert.equal((await layer.scan())?.parentChanges?.size, 0);
  layer.clock.now += 24 * 3_600_000;
  assert.equal((await layer.scan())?.parentChanges, undefined);
  assert.ok(await layer.scan('other'));
});

test('with a repository-scoped token, named repositories are scanned with one token for all, without the catalog', async () => {
  await using layer = fixture('scoped', ['app', 'other']);
  await settle(layer);
  const tokens = acr.requests.filter(({ path }) => path === '/oauth2/token');
  assert.equal(tokens.length, 1);
  assert.equal(tokens[0]?.query.getAll('scope').length, 2);
  acr.clearRequests();
  assert.equal((await layer.scan())?.parentChanges?.size, 0);
  assert.deepEqual(acr.requestLines().sort(), ['GET /acr/v1/app', 'GET /acr/v1/other']);
  await using patterns = fixture('scoped', ['*']);
  assert.equal(await patterns.scan(), undefined);
});

test('a repository without the permission for its metadata is compared completely', async () => {
  await using layer = fixture('half', ['app', 'other']);
  await settle(layer);
  await pushImage(acr.backendUrl, 'other', 'v2');
  const parentChanges = (await layer.scan())?.parentChanges;
  assert.deepEqual([...(parentChanges ?? [])], [['other', undefined]]);
});

test('a repository that fails blocks no other, and keeps its mark', async () => {
  await using layer = fixture('all', ['app', 'other']);
  await settle(layer);
  const before = layer.marks.get('other');
  for (const name of ['app', 'other']) await pushImage(acr.backendUrl, name, 'v2');
  for (const path of [/^\/acr\/v1\/other$/, /^\/acr\/v1\/other\/_tags$/]) {
    acr.failing = path;
    const view = await layer.scan();
    acr.failing = undefined;
    assert.ok(view?.parentChanges?.get('app')?.tags.has('v2'), `${path}`);
    assert.ok(view?.parentChanges?.has('other'));
    assert.equal(view?.parentChanges?.get('other'), undefined);
    await view?.finish({ good: false, failed: new Set(['other']) });
    assert.notEqual(layer.marks.get('app')?.tags, 1);
    assert.equal(layer.marks.get('other'), before);
    await pushImage(acr.backendUrl, 'app', 'v2', { layers: [{ seed: `${path}`, size: 10 }] });
  }
});

test('a missing repository is deleted, but not if all repositories are missing', async () => {
  await using layer = fixture('all', ['app', 'other']);
  await settle(layer);
  acr.store.repositories.delete('app');
  const first = await layer.scan();
  assert.deepEqual([...(first?.parentChanges?.get('app')?.tags ?? [])], [['v1', null]]);
  await first?.finish({ good: false });
  acr.store.repositories.delete('other');
  const second = await layer.scan();
  assert.equal(second?.parentChanges?.size, 0);
  await second?.finish({ good: true });
  assert.equal(layer.marks.size, 2);
});

test('a registry without this API is asked for it once an hour', async () => {
  await using layer = fixture('all', ['app']);
  acr.plain = true;
  try {
    assert.equal(await layer.scan(), undefined);
    acr.clearRequests();
    assert.equal(await layer.scan(), undefined);
    assert.deepEqual(acr.requestLines(), []);
  } finally {
    acr.plain = false;
  }
  layer.clock.now += 3_600_000;
  assert.ok(await layer.scan());
});

test('a repository in which a complete comparison failed is compared by the next pass, changed or not', async () => {
  await using layer = fixture('all', ['*']);
  await settle(layer);
  const full = await layer.scan('this', true);
  assert.equal(full?.parentChanges, undefined);
  await full?.finish({ good: false, failed: new Set(['app']) });
  for (const attempt of ['at once', 'after a restart']) {
    const next = await layer.scan();
    assert.deepEqual([...(next?.parentChanges?.keys() ?? [])], ['app'], attempt);
    layer.restart();
  }
  const last = await layer.scan();
  await last?.finish({ good: true });
  assert.deepEqual([...((await layer.scan())?.parentChanges?.keys() ?? ['none'])], []);
});
