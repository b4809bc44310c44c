import assert from 'node:assert/strict';
import type { PassResult } from '#proto/sync/passes.ts';
import { type PushedImage, pushImage } from '../../support/registry/image.ts';
import {
  type Quirk,
  type Reply,
  refused,
  type ScriptedRegistry,
  type ScriptedRequest,
  scriptedRegistry,
} from '../../support/registry/scripted/scripted-registry.ts';
import type { SyncerRig } from '../syncer-rig.ts';

/**
 * Uploads to real registries, as a table of quirks. Each row has a scripted registry and a repository of its own, in
 * one ReadWrite layer. An image is pushed into the layer, passes carry it up, and then a second image follows, of which
 * nothing may be sent in vain.
 */

const MIB = 1024 * 1024;
/** Max size of a piece that is sent without being asked for. */
export const PIECE = 4 * MIB;

export type UploadRow = {
  name: string;
  quirk: () => Quirk;
  /** Bytes of the first layer; default 5 MiB, which is several pieces. */
  size?: number;
  /** What the parent does to the second image; default the same. */
  later?: () => Quirk;
  /** Max bytes that the first image may cost above its size; default: its size again, and three pieces. */
  extra?: number;
  /** The same for the second image; default none. */
  extraLater?: number;
  /** If the parent can't be sent the blob in any way: what is said. */
  refusal?: RegExp;
  check?: (registry: ScriptedRegistry, pass: PassResult) => void;
};

/** Max requests for one image. */
const MAX_REQUESTS = 40;
const MAX_PASSES = 3;

export async function runUploadRow(layer: SyncerRig, row: UploadRow, nth: number): Promise<void> {
  const repository = `uploads-${nth}`;
  const { size = 5 * MIB, extra = size + 3 * PIECE, extraLater = 0 } = row;
  await using registry = await scriptedRegistry({ quirk: row.quirk() });
  await layer.reconfigureWith({
    parent: { url: registry.url },
    repositories: [repository],
    mode: 'ReadWrite',
    schedule: '0 0 1 1 *',
  });
  const { url } = layer.layer;
  const push = (tag: string, bytes: number) => pushImage(url, repository, tag, { layers: [bytes] });
  const first = await push('one', size);
  const pass = await sendAll(layer, registry, repository, first, row.refusal);
  assert.ok(registry.uploadedBytes <= size + extra, `${registry.uploadedBytes} bytes for ${size}`);
  assert.ok(uploadRequests(registry) <= MAX_REQUESTS, `${uploadRequests(registry)} requests`);
  row.check?.(registry, pass);
  if (row.refusal) {
    const before = registry.uploadedBytes;
    await layer.pass();
    assert.equal(registry.uploadedBytes, before, 'a refused blob is sent again');
    registry.quirk = undefined;
    assert.deepEqual((await layer.pass({ full: true })).failures, []);
    assert.ok(registry.content.of(repository).manifests.has(first.digest));
    return;
  }
  const before = registry.uploadedBytes;
  if (row.later) registry.quirk = row.later();
  const second = await push('two', size + 1);
  await sendAll(layer, registry, repository, second, undefined);
  const later = registry.uploadedBytes - before;
  assert.ok(later <= size + PIECE / 4 + extraLater, `${later} bytes for the second image`);
}

async function sendAll(
  layer: SyncerRig,
  registry: ScriptedRegistry,
  repository: string,
  { digest, layers }: PushedImage,
  refusal: RegExp | undefined,
): Promise<PassResult> {
  const stored = registry.content.of(repository);
  let pass = await layer.pass();
  for (let more = 1; more < MAX_PASSES && pass.failed > 0; more += 1) pass = await layer.pass();
  if (refusal) {
    assert.equal(pass.failed, 0, JSON.stringify(pass));
    assert.ok(pass.parked > 0, JSON.stringify(pass));
    assert.match(pass.failures[0]?.reason ?? '', refusal);
    return pass;
  }
  assert.deepEqual(pass.failures, []);
  assert.ok(stored.manifests.has(digest));
  for (const layer of layers) assert.ok(stored.blobs.has(layer.digest), `the parent lacks ${layer.digest}`);
  return pass;
}

const uploadRequests = ({ requests }: ScriptedRegistry): number =>
  requests.filter(({ path }) => path.includes('/blobs/uploads/')).length;

/** A quirk of requests to upload sessions, by method. */
export const onUpload =
  (handlers: Partial<Record<string, Quirk>>): Quirk =>
  (request, regular) =>
    request.path.includes('/blobs/uploads/') ? handlers[request.method]?.(request, regular) : undefined;

export const startOf = ({ headers }: ScriptedRequest): number =>
  Number(/^(\d+)-/.exec(headers['content-range'] ?? '')?.[1] ?? 0);

export const withHeaders = (reply: Reply, headers: Reply['headers']): Reply => ({
  ...reply,
  headers: { ...reply.headers, ...headers },
});

export const refusing =
  (status: number, code = 'BLOB_UPLOAD_INVALID'): Quirk =>
  () =>
    refused(status, code);
