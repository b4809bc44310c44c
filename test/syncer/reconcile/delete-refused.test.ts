import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { deleteSynchronized, listBases, listRepositories, listTags } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { PassCaches } from '../../../services/syncer/reconcile/context/pass-caches.ts';
import { makePass, type PassDeps } from '../../../services/syncer/reconcile/pass.ts';
import { quiet } from '../../support/bus.ts';
import { configurationWith } from '../../support/configuration.ts';
import { SimulatedTime } from '../../support/time/simulated-time.ts';

/** Repositories that the parent refuses to a ReadOnly layer, by whole passes over a fake storage and parent. */

const HOUR = 60 * 60_000;
const digest = `sha256:${'a'.repeat(64)}`;
const denied = new Fault('parent-refused', 'GET /v2/: the parent answered 401', { detail: { status: 401 } });
const wrongLogin = new Fault('parent-refused', 'token', { detail: { status: 401, login: true } });

let time: SimulatedTime;
beforeEach(() => {
  time = new SimulatedTime(Date.UTC(2030, 0, 1), () => 0);
});
afterEach(() => time[Symbol.dispose]());

type Fields = { mode?: 'ReadWrite' | 'ReadOnly'; names?: string[]; isAcr?: boolean };

/** A layer with one agreed tag in each repository. `refusals`: what the parent answers instead. */
function fixture({ mode = 'ReadOnly', names = ['app', 'base'], isAcr = true }: Fields = {}) {
  const here = new Set(names);
  const refusals = new Map<string, Error>();
  const deleted: string[] = [];
  const call = async (contract: unknown, { repository = '' }: { repository?: string }) => {
    const tags = here.has(repository) ? [{ tag: 'v1', digest }] : [];
    if (contract === listTags || contract === listBases) return { tags, more: false };
    if (contract === listRepositories) return { repositories: [...here], more: false };
    if (contract === deleteSynchronized) {
      deleted.push(repository);
      here.delete(repository);
      return { tags: 1, manifests: 1 };
    }
    const empty = {
      manifests: [],
      parked: [],
      damaged: [],
      referrers: [],
      leftOut: [],
      digests: [],
      records: [],
      tags: [],
      repositories: [],
    };
    return { ...empty, descriptors: [], forgotten: false, more: false };
  };
  const answer = async <T>(repository: string, value: T): Promise<T> => {
    const refusal = refusals.get(repository);
    if (refusal) throw refusal;
    return value;
  };
  const parent = {
    answers: 0,
    ping: async () => {
      parent.answers += 1;
    },
    tags: (repository: string) => answer(repository, ['v1']),
    resolve: (repository: string) => answer(repository, digest),
    hasReferrers: () => false,
    hiddenReferrers: () => undefined,
    hiddenReferrersAbove: () => undefined,
    recheckReferrers: () => {},
    referrers: async () => undefined,
  };
  const deps = {
    bus: { call, listen: () => () => {}, publish() {} },
    parent,
    acrChanges: { scan: async () => undefined },
    changeCursor: { use: async () => {}, read: async () => undefined },
    acr: isAcr ? {} : undefined,
    feed: {},
    activation: {},
    caches: new PassCaches(),
    announcement: { announced: false },
    configuration: configurationWith({ mode, parent: { url: 'https://r.example' }, repositories: names }),
    log: quiet,
    signal: new AbortController().signal,
  };
  const pass = () => makePass(deps as unknown as PassDeps, { id: 'p', cause: 'schedule' });
  return { refusals, deleted, pass };
}

/** Passes over more than an hour. */
async function passes(layer: ReturnType<typeof fixture>) {
  await layer.pass();
  await time.advance(HOUR + 1, () => undefined);
  return layer.pass();
}

test('the content of a repository that an Azure registry refused for an hour is deleted, once', async () => {
  const layer = fixture();
  layer.refusals.set('app', denied);
  const { failures } = await layer.pass();
  assert.equal(failures[0]?.repository, 'app');
  assert.match(failures[0]?.reason ?? '', /401; let the login .* or remove it from repositories/);
  await time.advance(HOUR - 1, () => undefined);
  await layer.pass();
  assert.deepEqual(layer.deleted, []);
  await time.advance(2, () => undefined);
  assert.equal((await layer.pass()).dropped, 1);
  await passes(layer);
  assert.deepEqual(layer.deleted, ['app']);
});

test('a repository that was readable in between is refused for another hour first', async () => {
  const layer = fixture();
  layer.refusals.set('app', denied);
  await layer.pass();
  await time.advance(HOUR / 2, () => undefined);
  layer.refusals.clear();
  await layer.pass();
  layer.refusals.set('app', denied);
  await layer.pass();
  await time.advance(HOUR - 1, () => undefined);
  await layer.pass();
  assert.deepEqual(layer.deleted, []);
});

const kept: [string, Fields, Record<string, Error>][] = [
  ['all repositories are refused', {}, { app: denied, base: denied }],
  ['its only repository is refused', { names: ['app'] }, { app: denied }],
  ['the token service refuses the login', {}, { app: wrongLogin }],
  ['another kind of registry refuses it, maybe as to an anonymous client', { isAcr: false }, { app: denied }],
  ['the layer is ReadWrite', { mode: 'ReadWrite' }, { app: denied }],
];
for (const [name, fields, refusals] of kept) {
  test(`nothing is deleted, and the refusal is reported, if ${name}`, async () => {
    const layer = fixture(fields);
    for (const [repository, refusal] of Object.entries(refusals)) layer.refusals.set(repository, refusal);
    const { failures } = await passes(layer);
    assert.deepEqual(layer.deleted, []);
    assert.deepEqual(failures.map(({ repository }) => repository).sort(), Object.keys(refusals));
  });
}
