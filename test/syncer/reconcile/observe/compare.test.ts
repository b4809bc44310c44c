import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { BehindBook } from '../../../../services/syncer/reconcile/behind/behind-book.ts';
import type { PassContext } from '../../../../services/syncer/reconcile/context/pass-context.ts';
import {
  PassPrefetch,
  type PrefetchSource,
} from '../../../../services/syncer/reconcile/context/pass-prefetch.ts';
import { PassStats } from '../../../../services/syncer/reconcile/context/pass-stats.ts';
import { RefusedRepositories } from '../../../../services/syncer/reconcile/context/refused-repositories.ts';
import { compare } from '../../../../services/syncer/reconcile/observe/compare.ts';
import { quiet } from '../../../support/bus.ts';

const digest = `sha256:${'0'.repeat(64)}`;

/** Compares an empty layer with a parent that has these numbers of tags per repository. */
async function compareWith(tags: Record<string, number>, maxTags: number) {
  const stats = new PassStats(quiet);
  const published: object[] = [];
  const bus = {
    call: async () => ({ tags: [], bases: [], more: false }),
    publish: (_event: object, data: object) => void published.push(data),
  };
  const parent = {
    tags: async (repository: string) => Array.from({ length: tags[repository] ?? 0 }, (_, at) => `v${at}`),
    resolve: async () => digest,
    manifest: async () => ({ digest }),
  };
  const { signal } = new AbortController();
  const behind = new BehindBook([]);
  const deps = {
    bus,
    parent,
    prefetch: new PassPrefetch(parent as unknown as PrefetchSource, signal, new BoundedMap(1)),
    unsentChanges: { unsent: () => [], withdrawn: () => [], sending: () => new Map() },
    signal,
    announcement: { announced: true },
    pass: 'p',
    configuration: { mode: 'ReadOnly', repositories: [{ name: '*' }] },
    passRequest: { id: 'p', cause: 'schedule' },
    parentChanges: undefined,
    refused: new RefusedRepositories(),
    stats,
    behind,
  };
  const surveys = await compare(deps as unknown as PassContext, Object.keys(tags), maxTags);
  const updates = behind.take(false);
  return {
    surveys: surveys.map(({ repository }) => repository),
    failures: stats.failures,
    uncompared: updates.flatMap(({ repository, uncompared }) => (uncompared ? [repository] : [])),
    behind: updates.map(({ repository, put }) => `${repository} ${put.length}`).sort(),
    published,
  };
}

test('repositories beyond the tag limit of a pass fail by name, and smaller ones are still compared', async () => {
  const { surveys, failures, uncompared, behind, published } = await compareWith(
    { a: 6, b: 7, c: 3, d: 2, e: 1 },
    10,
  );
  assert.deepEqual(surveys, ['a', 'c', 'e']);
  assert.deepEqual(
    [uncompared, behind],
    [
      ['b', 'd'],
      ['a 6', 'b 0', 'c 3', 'd 0', 'e 1'],
    ],
  );
  const reason = 'a pass compares 10 tags at most: select fewer repositories';
  assert.deepEqual(
    failures.map(({ repository, code, reason: why }) => [repository, code, why]),
    [
      ['b', 'too-large', reason],
      ['d', 'too-large', reason],
    ],
  );
  assert.deepEqual(published, [{ pass: 'p', repositories: 3, tags: 10, actions: 10 }]);
});
