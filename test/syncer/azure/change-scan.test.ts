import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';
import { listBases, missingManifests } from '#proto/content/manifests.ts';
import type { Digest } from '#proto/oci/names.ts';
import { listMarks, listSubjects, type Mark, storeMarks } from '#proto/sync/marks.ts';
import type { FencedBus } from '../../../services/syncer/leadership/fenced-bus.ts';
import { ParentLink } from '../../../services/syncer/link/http/parent-link.ts';
import { AcrMetadata } from '../../../services/syncer/link/parent/acr-metadata.ts';
import { ParentRegistry } from '../../../services/syncer/link/parent/parent-registry.ts';
import { AcrChangeScan } from '../../../services/syncer/reconcile/observe/acr-change-scan.ts';
import { Acr, ALL } from '../../support/azure/acr.ts';
import { Authority } from '../../support/certificates.ts';
import { pushImage } from '../../support/registry/image.ts';

/** What is heard of an Azure Container Registry by accounts that may see more or less of it. */

const { signal } = new AbortController();
const stack = new AsyncDisposableStack();
const some = ['pull', 'metadata_read'];
const accounts = {
  all: ALL,
  scoped: { app: some, other: some },
  half: { app: some, other: ['pull'] },
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
  for (const name of ['app', 'other']) await pushImage(acr.back, name, 'v1');
  acr.forget();
});

type Query = {
  repository?: string;
  digests?: Digest[];
  marks?: { repository: string; mark: Mark | null }[];
};

/** A storage of a few lines: both sides agree on what is in `bases`. */
function scene(username: keyof typeof accounts, names: string[]) {
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
    return assert.fail('this is not asked for');
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
  let changeCursor = new AcrChangeScan(bus, () => clock.now);
  return {
    marks,
    clock,
    look: (scopeHash = 'this') => changeCursor.scan(deps, { scopeHash, full: false }),
    restart: () => {
      changeCursor = new AcrChangeScan(bus, () => clock.now);
    },
    /** As a pass leaves it that carried out everything. */
    agree: () => {
      for (const [name, { tags }] of acr.store.repositories) {
        bases.set(name, new Map([...tags].map(([tag, { digest }]) => [tag, digest as Digest])));
      }
    },
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  };
}

async function settled(found: ReturnType<typeof scene>): Promise<void> {
  const look = await found.look();
  assert.ok(look && look.parentChanges === undefined);
  found.agree();
  await look.finish(true);
}

test('marks move when all was carried out, and outlive a restart', async () => {
  await using found = scene('all', ['*']);
  await settled(found);
  const before = found.marks.get('app');
  await pushImage(acr.back, 'app', 'v2');
  for (const again of [1, 2]) {
    const look = await found.look();
    assert.deepEqual([...(look?.parentChanges?.keys() ?? [])], ['app'], `${again}`);
    assert.ok(look?.parentChanges?.get('app')?.tags.has('v2'));
    await look?.finish(false);
    assert.equal(found.marks.get('app'), before);
    found.restart();
  }
  found.agree();
  await (await found.look())?.finish(true);
  assert.equal((await found.look())?.parentChanges?.size, 0);
  found.clock.now += 24 * 3_600_000;
  assert.equal((await found.look())?.parentChanges, undefined);
  assert.ok(await found.look('other things'));
});

test('a repository-scoped token has no catalog: repositories are named, by one token for many', async () => {
  await using found = scene('scoped', ['app', 'other']);
  await settled(found);
  const tokens = acr.requests.filter(({ path }) => path === '/oauth2/token');
  assert.equal(tokens.length, 1);
  assert.equal(tokens[0]?.query.getAll('scope').length, 2);
  acr.forget();
  assert.equal((await found.look())?.parentChanges?.size, 0);
  assert.deepEqual(acr.asked().sort(), ['GET /acr/v1/app', 'GET /acr/v1/other']);
  await using patterns = scene('scoped', ['*']);
  assert.equal(await patterns.look(), undefined);
});

test('what an account may pull and not see is compared by lists', async () => {
  await using found = scene('half', ['app', 'other']);
  await settled(found);
  await pushImage(acr.back, 'other', 'v2');
  acr.forget();
  const parentChanges = (await found.look())?.parentChanges;
  assert.deepEqual([...(parentChanges?.keys() ?? [])], ['other']);
  assert.deepEqual([...(parentChanges?.get('other')?.tags.keys() ?? [])].sort(), ['v1', 'v2']);
  assert.ok(acr.asked().includes('GET /v2/other/tags/list'));
});

test('one repository that is gone goes; where all of them are, nothing does', async () => {
  await using found = scene('all', ['app', 'other']);
  await settled(found);
  acr.store.repositories.delete('app');
  const one = await found.look();
  assert.deepEqual([...(one?.parentChanges?.get('app')?.tags ?? [])], [['v1', null]]);
  await one?.finish(false);
  acr.store.repositories.delete('other');
  const none = await found.look();
  assert.equal(none?.parentChanges?.size, 0);
  await none?.finish(true);
  assert.equal(found.marks.size, 2);
});

test('a registry without the interface is asked for it once an hour', async () => {
  await using found = scene('all', ['app']);
  acr.plain = true;
  try {
    assert.equal(await found.look(), undefined);
    acr.forget();
    assert.equal(await found.look(), undefined);
    assert.deepEqual(acr.asked(), []);
  } finally {
    acr.plain = false;
  }
  found.clock.now += 3_600_000;
  assert.ok(await found.look());
});
