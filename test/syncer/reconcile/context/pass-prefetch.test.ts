import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import {
  PassPrefetch,
  type PrefetchSource,
} from '../../../../services/syncer/reconcile/context/pass-prefetch.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const unused = () => assert.fail('no invalid name');

/** A parent where each repository has the tags `v1` and `!`, which is none, and each tag the same manifest. */
function parentWith({ failing = false } = {}) {
  const requests: string[] = [];
  const signals: AbortSignal[] = [];
  const ask = async <T>(what: string, signal: AbortSignal, answer: T): Promise<T> => {
    requests.push(what);
    signals.push(signal);
    if (failing) throw new Fault('parent-unreachable', what);
    return answer;
  };
  const source = {
    tags: async (repository: string, signal: AbortSignal, onInvalid: (name: string) => void) => {
      const tags = await ask(`tags of ${repository}`, signal, ['v1']);
      onInvalid('!');
      return tags;
    },
    manifest: (repository: string, tag: string, signal: AbortSignal) =>
      ask(`${repository}:${tag}`, signal, { digest }),
  };
  return { source: source as unknown as PrefetchSource, requests, signals };
}

const { signal } = new AbortController();
const asked = () => new BoundedMap<true>(100);

test('a prefetched list is used once, with its invalid names', async () => {
  const { source, requests } = parentWith();
  using prefetch = new PassPrefetch(source, signal, asked());
  prefetch.requestTags(['a']);
  assert.deepEqual(requests, ['tags of a']);
  for (const count of [1, 2]) {
    const invalid: string[] = [];
    assert.deepEqual(await prefetch.tags('a', (name) => void invalid.push(name)), ['v1']);
    assert.deepEqual(invalid, ['!']);
    assert.equal(requests.length, count);
  }
});

test('a prefetched list that failed fails where it is needed', async () => {
  const { source, requests } = parentWith({ failing: true });
  using prefetch = new PassPrefetch(source, signal, asked());
  prefetch.requestTags(['a']);
  await assert.rejects(prefetch.tags('a', unused), { code: 'parent-unreachable' });
  assert.equal(requests.length, 1);
});

test('the lists of four repositories are prefetched, and no more', () => {
  const { source, requests } = parentWith();
  using prefetch = new PassPrefetch(source, signal, asked());
  prefetch.requestTags(['a', 'b', 'c', 'd', 'e']);
  assert.equal(requests.length, 4);
});

test('a prefetched manifest is returned for its digest, once', async () => {
  const { source } = parentWith();
  using prefetch = new PassPrefetch(source, signal, asked());
  prefetch.requestManifest('a', 'v1');
  assert.equal(await prefetch.manifest('b', digest), undefined);
  assert.equal(await prefetch.manifest('a', `sha256:${'b'.repeat(64)}`), undefined);
  assert.equal((await prefetch.manifest('a', digest))?.digest, digest);
  assert.equal(await prefetch.manifest('a', digest), undefined);
});

test('a prefetched manifest that the parent does not provide is none', async () => {
  const { source } = parentWith({ failing: true });
  using prefetch = new PassPrefetch(source, signal, asked());
  prefetch.requestManifest('a', 'v1');
  assert.equal(await prefetch.manifest('a', digest), undefined);
});

test('four manifests at most are prefetched by a pass, and that of a tag once in all passes', async () => {
  const { source, requests } = parentWith();
  const before = asked();
  const askAll = () => {
    using prefetch = new PassPrefetch(source, signal, before);
    for (const repository of ['a', 'b', 'c', 'd', 'e', 'f']) prefetch.requestManifest(repository, 'v1');
  };
  askAll();
  assert.deepEqual(requests, ['a:v1', 'b:v1', 'c:v1', 'd:v1']);
  askAll();
  assert.deepEqual(requests.slice(4), ['e:v1', 'f:v1']);
});

test('requests that nobody has used end with the pass', async () => {
  const { source, signals } = parentWith();
  {
    using prefetch = new PassPrefetch(source, signal, asked());
    prefetch.requestTags(['a']);
    prefetch.requestManifest('a', 'v1');
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [false, false],
    );
  }
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, true],
  );
});
