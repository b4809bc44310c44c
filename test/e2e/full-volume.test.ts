import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { spaceChanged } from '#proto/content/maintenance.ts';
import { passFinished } from '#proto/sync/passes.ts';
import { transferDelayed } from '#proto/sync/transfers.ts';
import { MAX_REQUEST_BYTES } from '../../services/syncer/transfer/pieces/piece-sizing.ts';
import { testLayer } from '../support/layer.ts';
import { startProxy } from '../support/proxy/fault-proxy.ts';
import { repeatedBytes } from '../support/proxy/requests.ts';
import { startCloud } from '../support/registry/cloud.ts';
import { digestOf } from '../support/registry/content.ts';
import { firstDifference, pushImage } from '../support/registry/image.ts';
import { request } from '../support/registry/registry.ts';
import { smallVolume } from '../support/small-volume.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const RESERVE = 16 * MIB;
const SKIPPED = 'needs the right to mount';
let folder: string;
let configFile: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-full-volume-'));
  configFile = join(folder, 'layer.yaml');
  await writeFile(configFile, 'reserve: 16MiB\nmode: ReadWrite\n');
});
after(() => rm(folder, { recursive: true, force: true }));

/** Pushes a blob in one request. @returns the status, and the body of a refusal */
async function push(host: string, bytes: Uint8Array): Promise<{ status: number; text: string }> {
  const path = `/v2/app/blobs/uploads/?digest=${digestOf(bytes)}`;
  const response = await request(host, path, { method: 'POST', body: bytes as Uint8Array<ArrayBuffer> });
  return { status: response.status, text: await response.text() };
}

test('pushes that fill the volume get 507 and lose nothing; reads and deletes continue, pushes resume with space', async (t) => {
  await using volume = await smallVolume(96);
  if (!volume) return t.skip(SKIPPED);
  const data = join(volume.path, 'data');
  // Filled before the layer starts: with so little space beyond the reserve, it creates no ballast during the test.
  const space = 20 * MIB;
  const freeSpace = await volume.fill(RESERVE + space);
  await using layer = await testLayer({ data, configFile, compact: 'hosted' });
  const image = await pushImage(layer.url, 'app', 'v1', { layers: [{ seed: 'a', size: 10_000 }] });
  const accepted = new Map<string, Uint8Array>();
  const refused: string[] = [];
  const pusher = async () => {
    while (refused.length < 12) {
      const bytes = randomBytes(MIB / 4 + Math.floor((Math.random() * MIB) / 4));
      const { status, text } = await push(layer.url, bytes);
      if (status === 201) accepted.set(digestOf(bytes), bytes);
      else {
        assert.equal(status, 507, text);
        refused.push(text);
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, pusher));
  // Metadata and history take some of the space, and uploads that are in progress when it ends are refused. Clients
  // used the rest.
  const acceptedBytes = accepted.values().reduce((sum, bytes) => sum + bytes.length, 0);
  assert.ok(acceptedBytes >= space / 2, `${acceptedBytes} bytes accepted, ${refused.length} blobs refused`);
  for (const text of refused) {
    const { errors } = JSON.parse(text) as { errors: { code: string; message: string }[] };
    assert.equal(errors[0]?.code, 'INSUFFICIENT_STORAGE');
    assert.match(errors[0]?.message ?? '', /free, less than the reserve of 16\.8 MB/);
  }
  await layer.event(spaceChanged, ({ low }) => low);

  for (const [digest, bytes] of accepted) {
    const response = await request(layer.url, `/v2/app/blobs/${digest}`);
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(bytes), digest);
  }
  const [blob] = accepted.keys();
  for (const path of [`manifests/${image.digest}`, `blobs/${blob}`]) {
    const { status } = await request(layer.url, `/v2/app/${path}`, { method: 'DELETE' });
    assert.equal(status, 202, path);
  }

  await freeSpace();
  await layer.event(spaceChanged, ({ low }) => !low);
  // The event may be an earlier one, from when the volume filled up. Storage measures free space each 500 ms at most.
  const bytes = randomBytes(MIB);
  await until(async () => (await push(layer.url, bytes)).status === 201);
  for (const line of layer.lines) assert.doesNotMatch(line, /"level":60/, 'no process ended');
});

test('a sync that fills the volume waits, keeps the bytes that arrived, and continues by itself', async (t) => {
  await using volume = await smallVolume(128);
  if (!volume) return t.skip(SKIPPED);
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url);
  const connections = 2;
  await pushImage(cloud.url, 'all/app', 'v1', {
    layers: [
      { seed: 'a', size: 16 * MIB },
      { seed: 'b', size: 16 * MIB },
      { seed: 'c', size: 16 * MIB },
    ],
  });
  const data = join(volume.path, 'data');
  const freeSpace = await volume.fill(RESERVE + 24 * MIB);
  await using layer = await testLayer({
    data,
    configFile,
    parent: proxy.url,
    repositories: ['all/*'],
    connections,
    compact: 'hosted',
  });
  const delayed = await layer.event(transferDelayed, ({ code }) => code === 'no-space');
  assert.match(delayed.reason, /reserve/);
  assert.ok(
    !layer.events.some(({ type }) => type === `terrace.${passFinished.type}`),
    'the pass is still running',
  );
  await freeSpace();
  const { failures } = await layer.event(passFinished, ({ ok }) => ok);
  assert.deepEqual(failures, []);
  assert.equal(await firstDifference(cloud.url, layer.url), undefined);
  const repeated = repeatedBytes(proxy.requests, /\/blobs\//);
  assert.ok(repeated <= 2 * connections * MAX_REQUEST_BYTES, `${repeated} bytes came twice`);
});
