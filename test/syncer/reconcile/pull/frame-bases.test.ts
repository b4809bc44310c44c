import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault } from '#proto/contract/fault.ts';
import { type Descriptor, mediaTypes } from '#proto/oci/manifest.ts';
import type { Digest } from '#proto/oci/names.ts';
import { readManifest } from '#proto/oci/read-manifest.ts';
import { Volume } from '#proto/volume/volume.ts';
import { frameBases } from '../../../../services/syncer/reconcile/pull/frame-bases.ts';
import { type ImageNode, strip } from '../../../../services/syncer/reconcile/pull/image-node.ts';
import { digestOf } from '../../../support/registry/content.ts';

const digest = (name: string) => digestOf(name) as Digest;
const named = new Map('abcdefghij'.split('').map((name) => [digest(name) as string, name]));

type Entry = Pick<Descriptor, 'digest' | 'size' | 'mediaType'> & { platform?: object };
const layer = (name: string, type = 'tar+zstd', size = 1_000_000): Entry => ({
  mediaType: `application/vnd.oci.image.layer.v1.${type}`,
  digest: digest(name),
  size,
});
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest('config'), size: 5 };

const image = (...layers: Entry[]): ImageNode => nodeOf(mediaTypes.ociManifest, { config, layers });
const index = (...children: [ImageNode, string][]): ImageNode =>
  nodeOf(mediaTypes.ociIndex, {
    manifests: children.map(([{ digest, mediaType, bytes }, architecture]) => ({
      ...{ digest, mediaType, size: bytes.length, platform: { os: 'linux', architecture } },
    })),
  });

function nodeOf(mediaType: string, fields: object): ImageNode {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...fields }));
  const manifest = strip(readManifest(bytes, mediaType));
  return { digest: digestOf(bytes) as Digest, mediaType, bytes, manifest, leftOut: [], isReferrer: false };
}

/** The names of the layers that each layer of the nodes may resemble. */
async function basesOf(nodes: ImageNode[], local: ImageNode[], similar: ImageNode[] = local) {
  const root = await mkdtemp(join(tmpdir(), 'terrace-bases-'));
  try {
    for (const { digest, bytes } of local) await writeFile(join(root, digest), bytes);
    const call = async (_: unknown, { reference }: { reference: Digest }) => {
      const found = local.find((node) => node.digest === reference);
      if (!found) throw new Fault('manifest-unknown', 'no such manifest');
      return { path: reference, mediaType: found.mediaType, size: found.bytes.length };
    };
    const tools = { bus: { call }, volume: new Volume(root) } as unknown as Parameters<typeof frameBases>[0];
    const missing = nodes.flatMap(({ manifest }) => manifest.blobs);
    const found = await frameBases(tools, 'app', nodes, missing, () => similar.map((node) => node.digest));
    return Object.fromEntries(
      [...found].map(([wanted, bases]) => [named.get(wanted), bases.map((base) => named.get(base)).join('')]),
    );
  } finally {
    await rm(root, { recursive: true });
  }
}

test('a layer resembles those of its compression, nearest positions first', async () => {
  const here = image(layer('a'), layer('b'), layer('c', 'tar+gzip'), layer('d'));
  assert.deepEqual(await basesOf([image(layer('e'), layer('f'), layer('g', 'tar+gzip'))], [here]), {
    e: 'abd',
    f: 'bad',
    g: 'c',
  });
});

test('nothing is read for layers that are small, or have no frames', async () => {
  const here = image(layer('a'), layer('b', 'tar'));
  assert.deepEqual(await basesOf([image(layer('e', 'tar+zstd', 1_000), layer('f', 'tar'))], [here]), {});
});

test('of an index, the layers of the same platform count', async () => {
  const [amd64, arm64] = [image(layer('a')), image(layer('b'))];
  const [newAmd64, newArm64] = [image(layer('e')), image(layer('f'))];
  const here = index([amd64, 'amd64'], [arm64, 'arm64']);
  const nodes = [newAmd64, newArm64, index([newAmd64, 'amd64'], [newArm64, 'arm64'])];
  assert.deepEqual(await basesOf(nodes, [here, amd64, arm64], [here]), { e: 'a', f: 'b' });
  assert.deepEqual(await basesOf([newAmd64], [here, arm64], [here]), { e: 'b' });
});

test('the first of several similar images comes first, and a missing one is skipped', async () => {
  const [first, second, missing] = [image(layer('a')), image(layer('b'), layer('a')), image(layer('c'))];
  assert.deepEqual(await basesOf([image(layer('e'))], [first, second], [missing, first, second]), {
    e: 'ab',
  });
});
