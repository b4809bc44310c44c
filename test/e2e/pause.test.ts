import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LINK_KEY, linkStatus } from '#proto/status/status.ts';
import { testLayer } from '../support/layer.ts';
import { startProxy } from '../support/proxy/fault-proxy.ts';
import { repeatedBytes } from '../support/proxy/requests.ts';
import { startCloud } from '../support/registry/cloud.ts';
import { firstDifference, pushImage } from '../support/registry/image.ts';
import { runCommand } from '../support/terrace.ts';
import { slowedRate, until } from '../support/until.ts';

/** A pause of the link in a layer whose processes are killed. */

const MIB = 1024 * 1024;
const SIZE = 12 * MIB;
/** Bytes that are in flight when a connection is closed are transferred again. */
const MAX_IN_FLIGHT_BYTES = 4 * 64 * 1024;
const QUIET_MS = 2_000;

test('a pause survives kills of all processes and the loss of the bus; the transfer then continues at the same byte', async (t) => {
  await using cloud = await startCloud();
  await using proxy = await startProxy(cloud.url, { bandwidth: { total: slowedRate(2 * MIB) } });
  const { layers } = await pushImage(cloud.url, 'big', 'v1', { layers: [SIZE] });
  const blob = new RegExp(`/blobs/${layers[0]!.digest}$`);
  await using layer = await testLayer({ parent: proxy.url, repositories: ['*'], schedule: '* * * * *' });
  await proxy.until(() => proxy.bytesOf(blob) > 1 * MIB);

  const { code, text } = await runCommand('pause', '--data', layer.data, '--reason', 'crane at work');
  assert.equal(code, 0, text);
  assert.match(text, /^The link is paused by .* since .* \(crane at work\)\.\n.*terrace resume$/m);
  await until(async () => (await proxy.connections()) === 0, 'no connection is open');
  const [bytes, requests] = [proxy.bytesOf(blob), proxy.requests.length];
  assert.ok(bytes < SIZE, `${bytes} bytes`);

  for (const program of Object.keys(layer.pids())) layer.killWithoutWaiting(program);
  await layer.stop();
  await rm(join(layer.data, 'bus/jetstream'), { recursive: true, force: true });
  await layer.start();
  await until(async () => {
    const link = await layer.bus().get(linkStatus, LINK_KEY);
    return link?.value.code === 'paused' && link.value.paused?.reason === 'crane at work';
  }, 'the state of the link says that it is paused');
  const refused = await runCommand('sync', '--now', '--data', layer.data);
  assert.equal(refused.code, 75);
  assert.match(refused.text, /^terrace: the link is paused by .*: to use it again, run terrace resume$/m);
  const status = await runCommand('status', '--data', layer.data);
  assert.match(status.text, /Offline: the link is paused by .*crane at work/);
  await sleep(QUIET_MS);
  assert.deepEqual([proxy.bytesOf(blob), proxy.requests.length], [bytes, requests]);

  proxy.bandwidth = {};
  const resumed = await runCommand('resume', '--data', layer.data);
  assert.match(resumed.text, /^The link is used again after a pause of \d+ s\.$/m);
  await until(async () => (await firstDifference(cloud.url, layer.url)) === undefined, 'the image is here');
  const repeated = repeatedBytes(proxy.requests, blob);
  t.diagnostic(`${bytes} of ${SIZE} bytes before the pause, ${repeated} bytes came twice`);
  assert.ok(repeated <= MAX_IN_FLIGHT_BYTES, `${repeated} bytes came twice`);
  const again = await runCommand('resume', '--data', layer.data);
  assert.deepEqual([again.code, again.text], [0, 'The link was not paused.\n']);
});

test('a layer without a parent has no link to pause', async () => {
  await using layer = await testLayer({ compact: true });
  const { code, text } = await runCommand('pause', '--data', layer.data);
  assert.deepEqual([code, text], [1, 'terrace: the layer has no parent: there is no link to pause\n']);
});
