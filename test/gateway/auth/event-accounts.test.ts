import { deepEqual, equal } from 'node:assert/strict';
import { after, test } from 'node:test';
import { accountsChanged } from '#proto/accounts/accounts.ts';
import { callerOf, ON_BEHALF } from '#proto/bus/caller.ts';
import {
  blobCommitted,
  blobUnlinked,
  manifestCommitted,
  manifestDeleted,
  tagDeleted,
  tagMoved,
} from '#proto/content/content-events.ts';
import { collectGarbage, garbageCollected } from '#proto/content/maintenance.ts';
import { mediaTypes } from '#proto/oci/manifest.ts';
import { until } from '../../support/until.ts';
import { ALL, basic, on, Tokens } from '../accounts.ts';
import { GatewayRig, sha256 } from '../gateway-rig.ts';

/** Events name the account that caused them. */

const layer = await GatewayRig.start();
after(() => layer[Symbol.asyncDispose]());
const received: [type: string, account: string | undefined][] = [];
for (const event of [blobCommitted, blobUnlinked, manifestCommitted, manifestDeleted, tagDeleted, tagMoved]) {
  layer.bus.listen(event as typeof tagMoved, ({ type, data }) => void received.push([type, data.account]));
}
layer.bus.listen(garbageCollected, ({ type, data }) => void received.push([type, data.account]));
const changedBy: (string | undefined)[] = [];
layer.bus.listen(accountsChanged, ({ data }) => void changedBy.push(data.account));
await layer.bus.flush();

async function pushAndDelete(headers: Record<string, string>, name: string): Promise<void> {
  const type = { 'content-type': mediaTypes.ociIndex };
  const body = JSON.stringify({ schemaVersion: 2, manifests: [], annotations: { name } });
  const put = { headers: { ...headers, ...type }, body };
  const blob = { headers, body: name };
  const upload = `/v2/a/x/blobs/uploads/?digest=${sha256(name)}`;
  equal((await layer.fetch('POST', upload, blob)).status, 201);
  equal((await layer.fetch('PUT', '/v2/a/x/manifests/v1', put)).status, 201);
  equal((await layer.fetch('PUT', '/v2/a/x/manifests/v2', put)).status, 201);
  const digest = (await layer.fetch('HEAD', '/v2/a/x/manifests/v1', { headers })).headers.get(
    'docker-content-digest',
  );
  equal((await layer.fetch('DELETE', '/v2/a/x/manifests/v1', { headers })).status, 202);
  equal((await layer.fetch('DELETE', `/v2/a/x/manifests/${digest}`, { headers })).status, 202);
  equal((await layer.fetch('DELETE', `/v2/a/x/blobs/${sha256(name)}`, { headers })).status, 202);
}

const EVENTS = [
  'blob.committed',
  'manifest.committed',
  'tag.moved',
  'tag.moved',
  'tag.deleted',
  'tag.deleted',
  'manifest.deleted',
  'blob.unlinked',
];

test('without accounts, events name no account', async () => {
  await pushAndDelete({}, 'open');
  await until(() => received.length >= EVENTS.length);
  deepEqual(
    received.splice(0),
    EVENTS.map((type) => [`terrace.${type}`, undefined]),
  );
});

test('events of content name the token, and events of garbage collection the user that requested it', async () => {
  const tokens = await Tokens.of(layer);
  const headers = basic('ci-line.7', await tokens.create('ci-line.7', on('a/*', ...ALL)));
  await until(() => changedBy.length > 0);
  deepEqual([...new Set(changedBy)], ['_operator']);
  await pushAndDelete(headers, 'closed');
  const operator = await layer.testBus.connect('operator');
  await operator.call(collectGarbage, { dryRun: true });
  await until(() => received.length >= EVENTS.length + 1);
  deepEqual(received.splice(0), [
    ...EVENTS.map((type) => [`terrace.${type}`, 'ci-line.7']),
    ['terrace.garbage.collected', '_operator'],
  ]);
});

test('the inbox identifies the caller; its header on behalf of others counts as far as the user may set it', () => {
  const from = (inbox: string, behalf?: string) =>
    callerOf({
      reply: `_INBOX_${inbox}.abc.1`,
      headers: { get: (name) => (name === ON_BEHALF ? (behalf ?? '') : '') },
    });
  deepEqual(from('gateway', 'ci'), { user: 'gateway', account: 'ci' });
  deepEqual(from('gateway', '_operator'), { user: 'gateway' });
  deepEqual(from('gateway'), { user: 'gateway' });
  deepEqual(from('syncer', 'ci'), { user: 'syncer' });
  deepEqual(from('operator', 'Jo Doe\n'), { user: 'operator', account: '_operator', person: 'Jo_Doe_' });
  deepEqual(from('twin-bridge'), { user: 'twin-bridge', account: '_twin-bridge' });
  deepEqual(from('somebody', 'ci'), {});
  deepEqual(callerOf({}), {});
});
