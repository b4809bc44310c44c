import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type TestLayer, testLayer } from '../../support/layer.ts';
import { startProxy } from '../../support/proxy/fault-proxy.ts';
import type { RecordedRequest } from '../../support/proxy/requests.ts';
import { startCloud } from '../../support/registry/cloud.ts';
import {
  deleteManifest,
  getManifest,
  type PushedImage,
  pushArtifact,
  pushImage,
  referrersOf,
  tagImage,
} from '../../support/registry/image.ts';
import { expectStatus, type Pushed, request } from '../../support/registry/registry.ts';
import { until } from '../../support/until.ts';

/** A parent that carries out changes, while the syncer that sent them is killed before the answers arrive. */

type Case = {
  repository: string;
  /** Not at a registry that deletes no tags by name. */
  terraceOnly?: true;
  /** Before both sides agree. */
  prepare?: () => Promise<void>;
  /** What a client changes, and the request that sends it. */
  change: () => Promise<void>;
  sends: () => [method: 'PUT' | 'DELETE', reference: string];
  /** What a client changes after the kill. */
  after: () => Promise<void>;
  /** Target of each tag in the end, on both sides. */
  last: () => Record<string, string | undefined>;
};

function casesOf({ url }: Pick<TestLayer, 'url'>): Case[] {
  const push = (repository: string, tag: string | undefined, seed = 'first') =>
    pushImage(url, repository, tag, { layers: [{ seed, size: 2_000 }] });
  const path = (repository: string, reference: string) => `/v2/${repository}/manifests/${reference}`;
  const untag = async (repository: string, tag: string) => {
    await expectStatus([202], request(url, path(repository, tag), { method: 'DELETE' }));
  };
  let [untagged, shared, moved, again, subject]: PushedImage[] = [];
  let signature: Pushed;
  return [
    {
      repository: 'first',
      change: async () => void (await push('first', 'v1')),
      sends: () => ['PUT', 'v1'],
      after: () => untag('first', 'v1'),
      last: () => ({ v1: undefined }),
    },
    {
      repository: 'untagged',
      change: async () => {
        untagged = await push('untagged', undefined);
      },
      sends: () => ['PUT', untagged!.digest],
      after: () => deleteManifest(url, 'untagged', untagged!.digest),
      last: () => ({ [untagged!.digest]: undefined }),
    },
    {
      repository: 'second-tag',
      prepare: async () => {
        shared = await push('second-tag', 'v1');
      },
      change: () => tagImage(url, 'second-tag', shared!, 'v2'),
      sends: () => ['PUT', 'v2'],
      after: () => untag('second-tag', 'v2'),
      last: () => ({ v1: shared!.digest, v2: undefined }),
    },
    {
      repository: 'moved-back',
      prepare: async () => {
        moved = await push('moved-back', 'v1');
      },
      change: async () => void (await push('moved-back', 'v1', 'second')),
      sends: () => ['PUT', 'v1'],
      after: () => tagImage(url, 'moved-back', moved!, 'v1'),
      last: () => ({ v1: moved!.digest }),
    },
    {
      repository: 'tagged-again',
      terraceOnly: true,
      prepare: async () => {
        again = await push('tagged-again', 'v1');
      },
      change: () => untag('tagged-again', 'v1'),
      sends: () => ['DELETE', 'v1'],
      after: () => tagImage(url, 'tagged-again', again!, 'v1'),
      last: () => ({ v1: again!.digest }),
    },
    {
      repository: 'signed',
      prepare: async () => {
        subject = await push('signed', 'v1');
      },
      change: async () => {
        signature = await pushArtifact(url, 'signed', { subject: subject! });
      },
      sends: () => ['PUT', signature.digest],
      after: () => deleteManifest(url, 'signed', signature.digest),
      last: () => ({ v1: subject!.digest, [signature.digest]: undefined }),
    },
  ];
}

const targetOf = async (host: string, repository: string, reference: string): Promise<string | undefined> =>
  (await getManifest(host, repository, reference))?.digest;

for (const kind of ['a Terrace', 'a docker-registry']) {
  test(`below ${kind}, the last change of a client holds although answers of the parent are lost`, async () => {
    const isTerrace = kind === 'a Terrace';
    await using parent = isTerrace ? await testLayer({ name: 'top', compact: 'hosted' }) : await startCloud();
    await using proxy = await startProxy(parent.url);
    await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], mode: 'ReadWrite' });
    const cases = casesOf(layer).filter(({ terraceOnly }) => isTerrace || !terraceOnly);
    for (const { prepare } of cases) await prepare?.();
    assert.deepEqual((await layer.sync()).failures, []);

    const before = new Map<Case, string | undefined>();
    for (const one of cases) {
      await one.change();
      before.set(one, await targetOf(parent.url, one.repository, one.sends()[1]));
    }
    const released = Promise.withResolvers<void>();
    const held = new Set<Case>();
    const isSent = ({ repository, sends }: Case, seen: RecordedRequest) => {
      const [method, reference] = sends();
      return seen.method === method && seen.path === `/v2/${repository}/manifests/${reference}`;
    };
    proxy.fault((seen) => {
      const one = cases.find((one) => !held.has(one) && isSent(one, seen));
      if (one) held.add(one);
      return one && { hold: released.promise };
    });
    const killed = layer.sync().catch(() => {});
    const areDone = async () => {
      if (held.size < cases.length) return false;
      for (const one of cases) {
        const target = await targetOf(parent.url, one.repository, one.sends()[1]);
        if (target === before.get(one)) return false;
      }
      return true;
    };
    await until(
      areDone,
      () => `the parent has carried out all changes, and ${[...held].map((one) => one.repository)}`,
    );
    // The next coordinator begins with a pass once the lease of this one has expired.
    layer.killWithoutWaiting('syncer-1');
    await Promise.all(cases.map(({ after }) => after()));
    released.resolve();
    proxy.fault();
    await killed;

    const { failures } = await layer.sync({ full: true });
    assert.deepEqual(failures, []);
    for (const { repository, last } of cases) {
      for (const [reference, digest] of Object.entries(last())) {
        const place = `${repository}:${reference}`;
        assert.equal(await targetOf(layer.url, repository, reference), digest, `${place} in the layer`);
        assert.equal(await targetOf(parent.url, repository, reference), digest, `${place} at the parent`);
        if (digest && repository === 'signed')
          assert.deepEqual(await referrersOf(layer.url, repository, digest), []);
      }
    }
    if (!isTerrace) return;
    // Nothing is left that a later pass would take for a change.
    const again = await layer.sync({ full: true });
    assert.deepEqual([again.taken, again.sent, again.withdrawn, again.dropped], [0, 0, 0, 0]);
  });
}
