import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { linkBlobs, locateBlob, missingBlobs, unlinkBlob } from '#proto/content/blobs.ts';
import {
  deleteManifest,
  deleteTag,
  listBases,
  listReferrers,
  listRepositories,
  listTags,
  missingManifests,
  putTag,
  setBases,
} from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { listUnsent, listWithdrawn, type Pending, settleOutgoing } from '#proto/sync/outgoing.ts';
import { bytesOf, descriptorOf, digestOf, imageOf, jsonOf, Rig } from '../rig.ts';
import { sharedBuses } from '../shared-buses.ts';

const buses = await sharedBuses();

/** Few names, so that operations collide: two repositories, two layers, three manifests, two tags. */
const repositories = ['lib/a', 'lib/a-b'] as const;
const config = bytesOf('{}');
const layers = [bytesOf('layer 0'), bytesOf('layer 1')] as const;
const blobs = [config, ...layers];
const image = imageOf('layer 0');
const manifests = [
  { document: image, blobs: [config, layers[0]], children: [] as number[], subject: -1 },
  {
    document: imageOf('layer 1', { subject: descriptorOf(jsonOf(image), mediaTypes.ociManifest) }),
    blobs: [config, layers[1]],
    children: [],
    subject: 0,
  },
  {
    document: {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [descriptorOf(jsonOf(image), mediaTypes.ociManifest)],
    },
    blobs: [],
    children: [0],
    subject: -1,
  },
].map((each) => ({ ...each, digest: digestOf(jsonOf(each.document)), mediaType: each.document.mediaType }));
const tags = ['t', 'u'] as const;

type Model = {
  /** Digest and size of all committed content. */
  content: Map<string, number>;
  links: Set<string>;
  manifests: Set<string>;
  tags: Map<string, string>;
  bases: Map<string, string>;
  known: Set<string>;
  /** Manifests that the parent does not have; deleted ones that it has. */
  unsent: Set<string>;
  withdrawn: Set<string>;
  /** Unsent, after a deletion that the parent has not received. */
  again: Set<string>;
};
/** The model returns the expected result: `ok` or the code of the fault. */
type Operation = { name: string; real: (rig: Rig) => Promise<unknown>; model: (m: Model) => string };

const repository = fc.constantFrom(...repositories);
const tag = fc.constantFrom(...tags);
const blob = fc.constantFrom(...blobs);
const manifest = fc.constantFrom(...manifests);
/** The expected target of a tag: any, none, or one of the manifests. */
const expect = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constantFrom(null, ...manifests.map(({ digest }) => digest)) },
);
const on = (...parts: string[]) => parts.join(' ');
const conflicts = (m: Model, r: string, t: string, expected: string | null | undefined) =>
  expected !== undefined && (m.tags.get(on(r, t)) ?? null) !== expected;

/** A link needs a manifest of its repository, content needs a link or a manifest, a repository needs any record. */
function collectIn(m: Model): void {
  for (const link of m.links) {
    const [r, digest] = link.split(' ') as [string, string];
    const named = manifests.some(
      (each) => m.manifests.has(on(r, each.digest)) && each.blobs.some((bytes) => digestOf(bytes) === digest),
    );
    if (!named) m.links.delete(link);
  }
  for (const digest of m.content.keys()) {
    if (![...m.links, ...m.manifests].some((name) => name.endsWith(digest))) m.content.delete(digest);
  }
  const names = [...m.links, ...m.manifests, ...m.tags.keys(), ...m.bases.keys()];
  for (const r of m.known) if (!names.some((name) => name.startsWith(`${r} `))) m.known.delete(r);
}

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(repository, blob).map(([r, bytes]) => ({
      name: `push ${digestOf(bytes).slice(7, 12)} to ${r}`,
      real: (rig: Rig) => rig.gateway.push(r, bytes),
      model: (m: Model) => {
        m.content.set(digestOf(bytes), bytes.byteLength);
        m.links.add(on(r, digestOf(bytes)));
        m.known.add(r);
        return 'ok';
      },
    })),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(repository, manifest, fc.option(tag), expect, fc.boolean(), fc.boolean())
      .map(([r, each, t, e, base, arrived]) => ({
        name: `put manifest ${manifests.indexOf(each)} to ${r} as ${t} expecting ${e} base ${base} arrived ${arrived}`,
        real: (rig: Rig) =>
          rig.gateway.pushManifest(r, each.document, {
            mediaType: each.mediaType,
            base,
            arrived,
            ...(t && { tag: t }),
            ...(e !== undefined && { expect: e }),
          }),
        model: (m: Model) => {
          const here =
            each.blobs.every((bytes) => m.links.has(on(r, digestOf(bytes)))) &&
            each.children.every((child) => m.manifests.has(on(r, manifests[child]!.digest)));
          if (!here) return 'manifest-blob-unknown';
          if (t && conflicts(m, r, t, e)) return 'conflict';
          m.content.set(each.digest, jsonOf(each.document).byteLength);
          const name = on(r, each.digest);
          if (!arrived && !m.manifests.has(name)) {
            m.unsent.add(name);
            if (m.withdrawn.has(name)) m.again.add(name);
          }
          m.withdrawn.delete(name);
          if (arrived) for (const records of [m.unsent, m.again]) records.delete(name);
          m.manifests.add(name);
          m.known.add(r);
          if (t) m.tags.set(on(r, t), each.digest);
          if (t && base) m.bases.set(on(r, t), each.digest);
          return 'ok';
        },
      })),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(repository, blob, fc.option(repository)).map(([r, bytes, from]) => ({
      name: `link ${digestOf(bytes).slice(7, 12)} to ${r} from ${from}`,
      real: (rig: Rig) =>
        rig.gateway.call(linkBlobs, { repository: r, digests: [digestOf(bytes)], ...(from && { from }) }),
      model: (m: Model) => {
        const digest = digestOf(bytes);
        if (!m.content.has(digest) || (from && !m.links.has(on(from, digest)))) return 'blob-unknown';
        m.links.add(on(r, digest));
        m.known.add(r);
        return 'ok';
      },
    })),
  },
  fc.tuple(repository, blob).map(([r, bytes]) => ({
    name: `unlink ${digestOf(bytes).slice(7, 12)} from ${r}`,
    real: (rig: Rig) => rig.gateway.call(unlinkBlob, { repository: r, digest: digestOf(bytes) }),
    model: (m: Model) => {
      if (!m.known.has(r)) return 'name-unknown';
      return m.links.delete(on(r, digestOf(bytes))) ? 'ok' : 'blob-unknown';
    },
  })),
  {
    weight: 2,
    arbitrary: fc
      .tuple(repository, tag, manifest, expect, fc.boolean())
      .map(([r, t, { digest }, e, base]) => ({
        name: `tag ${digest.slice(7, 12)} as ${r}:${t} expecting ${e} base ${base}`,
        real: (rig: Rig) =>
          rig.syncer.call(putTag, {
            repository: r,
            tag: t,
            digest,
            base,
            ...(e !== undefined && { expect: e }),
          }),
        model: (m: Model) => {
          if (!m.known.has(r)) return 'name-unknown';
          if (!m.manifests.has(on(r, digest))) return 'manifest-unknown';
          if (conflicts(m, r, t, e)) return 'conflict';
          m.tags.set(on(r, t), digest);
          if (base) m.bases.set(on(r, t), digest);
          return 'ok';
        },
      })),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(repository, tag, expect, fc.boolean()).map(([r, t, e, base]) => ({
      name: `untag ${r}:${t} expecting ${e} base ${base}`,
      real: (rig: Rig) =>
        rig.syncer.call(deleteTag, { repository: r, tag: t, base, ...(e !== undefined && { expect: e }) }),
      model: (m: Model) => {
        if (conflicts(m, r, t, e)) return 'conflict';
        if (!m.tags.delete(on(r, t)) && e === undefined)
          return m.known.has(r) ? 'manifest-unknown' : 'name-unknown';
        if (base) m.bases.delete(on(r, t));
        return 'ok';
      },
    })),
  },
  fc.tuple(repository, manifest, fc.boolean()).map(([r, { digest }, arrived]) => ({
    name: `delete manifest ${digest.slice(7, 12)} of ${r} arrived ${arrived}`,
    real: (rig: Rig) => rig.gateway.call(deleteManifest, { repository: r, digest, arrived }),
    model: (m: Model) => {
      const name = on(r, digest);
      if (!m.known.has(r)) return 'name-unknown';
      if (!m.manifests.delete(name)) return 'manifest-unknown';
      if (!arrived && (!m.unsent.has(name) || m.again.has(name))) m.withdrawn.add(name);
      for (const records of [m.unsent, m.again]) records.delete(name);
      for (const t of tags) if (m.tags.get(on(r, t)) === digest) m.tags.delete(on(r, t));
      return 'ok';
    },
  })),
  fc.tuple(repository, manifest).map(([r, { digest }]) => ({
    name: `the parent received ${digest.slice(7, 12)} of ${r}`,
    real: (rig: Rig) => rig.syncer.call(settleOutgoing, { repository: r, digests: [digest] }),
    model: (m: Model) => {
      for (const records of [m.unsent, m.again, m.withdrawn]) records.delete(on(r, digest));
      return 'ok';
    },
  })),
  fc.tuple(repository, tag, fc.option(manifest)).map(([r, t, each]) => ({
    name: `base of ${r}:${t} is ${each?.digest.slice(7, 12)}`,
    real: (rig: Rig) =>
      rig.syncer.call(setBases, { repository: r, bases: [{ tag: t, digest: each?.digest ?? null }] }),
    model: (m: Model) => {
      if (each) m.bases.set(on(r, t), each.digest);
      else m.bases.delete(on(r, t));
      return 'ok';
    },
  })),
  {
    weight: 2,
    arbitrary: fc.constant({
      name: 'collect garbage',
      real: (rig: Rig) => {
        // Longer than any grace, and than refused uploads stay.
        rig.now += 2 * 86_400_000;
        return rig.storage.garbage.collect(false);
      },
      model: (m: Model) => {
        collectIn(m);
        return 'ok';
      },
    }),
  },
  fc.constant({ name: 'restart', real: (rig: Rig) => rig.restart(), model: () => 'ok' }),
);

const outcome = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error) => {
      if (error instanceof Fault) return error.code;
      throw error;
    },
  );

/** Compares the answers to all requests with the model. */
async function compare(rig: Rig, m: Model): Promise<void> {
  const { call } = rig.gateway;
  const limit = 100;
  const { ingests: _, space: __, ...status } = await call(storageStatus, {});
  assert.deepEqual(status, {
    repositories: m.known.size,
    tags: m.tags.size,
    blobs: m.content.size,
    bytes: [...m.content.values()].reduce((sum, size) => sum + size, 0),
    damaged: 0,
    tokens: 0,
    scopeMaps: 0,
    outgoing: { unsent: m.unsent.size, withdrawn: m.withdrawn.size, parked: 0 },
    behind: { tags: 0, bytes: 0, unsized: 0, failed: 0 },
    conflicts: 0,
  });
  const named = (pending: { manifests: Pending[] }) =>
    pending.manifests.map((each) => on(each.repository, each.digest)).toSorted();
  assert.deepEqual(named(await rig.syncer.call(listUnsent, { limit })), [...m.unsent].toSorted());
  assert.deepEqual(named(await rig.syncer.call(listWithdrawn, { limit })), [...m.withdrawn].toSorted());
  assert.deepEqual((await call(listRepositories, { limit })).repositories, [...m.known].toSorted());
  const everything = [...blobs.map((bytes) => digestOf(bytes)), ...manifests.map(({ digest }) => digest)];
  const { digests } = await call(missingBlobs, { digests: everything });
  assert.deepEqual(
    digests,
    everything.filter((digest) => !m.content.has(digest)),
  );
  for (const r of repositories) {
    const entries = (of: Map<string, string>) =>
      tags.flatMap((t) => {
        const digest = of.get(on(r, t));
        return digest ? [{ tag: t, digest }] : [];
      });
    if (m.known.has(r))
      assert.deepEqual((await call(listTags, { repository: r, limit })).tags, entries(m.tags));
    assert.deepEqual((await rig.syncer.call(listBases, { repository: r, limit })).tags, entries(m.bases));
    for (const { digest } of manifests) {
      const query = { repository: r, digest, limit };
      const referrers = manifests.filter(
        ({ subject, digest: own }) => manifests[subject]?.digest === digest && m.manifests.has(on(r, own)),
      );
      assert.deepEqual(
        (await call(listReferrers, query)).descriptors.map((each) => each.digest),
        referrers.map((each) => each.digest),
      );
      const { digests: missing } = await call(missingManifests, { repository: r, digests: [digest] });
      assert.equal(missing.length === 0, m.manifests.has(on(r, digest)));
    }
    for (const bytes of blobs) {
      const found = await outcome(call(locateBlob, { repository: r, digest: digestOf(bytes) }));
      const linked = m.links.has(on(r, digestOf(bytes)));
      assert.equal(found, linked ? 'ok' : m.known.has(r) ? 'blob-unknown' : 'name-unknown');
    }
  }
}

test('any sequence of operations leaves the state that a simple model predicts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 40, size: 'max' }), async (operations) => {
      await using rig = await Rig.open(buses);
      const model: Model = {
        content: new Map(),
        links: new Set(),
        manifests: new Set(),
        tags: new Map(),
        bases: new Map(),
        known: new Set(),
        unsent: new Set(),
        withdrawn: new Set(),
        again: new Set(),
      };
      for (const { name, real, model: predict } of operations) {
        assert.equal(await outcome(real(rig)), predict(model), name);
      }
      await compare(rig, model);
    }),
    { numRuns: 30 },
  );
});
