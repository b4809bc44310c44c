import { deepEqual, equal, match } from 'node:assert/strict';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { createToken } from '#proto/accounts/accounts.ts';
import type { ReportedChanges } from '#proto/content/restored.ts';
import { reportPath } from '#proto/status/layers-below.ts';
import { digestOf } from '../../support/registry/content.ts';
import { GatewayRig } from '../gateway-rig.ts';

/** What a layer knows of the changes that a child reported: a child that was restored from a backup asks for them. */

const layer = await GatewayRig.start({}, { apart: true });
after(() => layer[Symbol.asyncDispose]());
const operator = await layer.testBus.connect('operator');

const at = (minute: number) => Date.UTC(2030, 0, 1, 0, minute);
const [one, two] = [digestOf('1'), digestOf('2')] as [string, string];
const app = { repository: 'line/app' };

const all = [
  ['tag.moved', 0, 'mid', { ...app, tag: 'before', digest: one }],
  ['tag.moved', 1, 'mid', { ...app, tag: 'v1', digest: one }],
  ['blob.committed', 1, 'mid', { digest: one, size: 1 }],
  ['tag.moved', 2, 'mid', { ...app, tag: 'v1', digest: two, from: one }],
  ['tag.moved', 2, 'cell', { ...app, tag: 'of-another', digest: two }],
  ['tag.deleted', 3, 'mid', { ...app, tag: 'v1', from: two }],
  ['tag.moved', 4, 'mid', { ...app, tag: 'invalid' }],
  ['tag.moved', 9, 'mid', { ...app, tag: 'after', digest: one }],
].map(([type, minute, name, data], index) => ({
  sequence: index + 1,
  event: {
    ...{ specversion: '1.0', id: `e-${index}`, source: `/layers/${name}/a`, type: `terrace.${type}` },
    ...{ time: new Date(at(minute as number)).toISOString(), layer: name, data },
  },
}));

const ask = (child: string, query: string, authorization = '') =>
  layer.fetch('GET', `${reportPath(child)}?${query}`, { headers: authorization ? { authorization } : {} });

test('a child gets the changes of its own tags in a time, in order, and no others', async () => {
  const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
  const body = gzipSync(JSON.stringify({ made: 'm', after: 0, events: all }));
  equal((await layer.fetch('POST', reportPath('line'), { headers, body })).status, 200);
  const response = await ask('line', `since=${at(1)}&until=${at(9)}&layer=mid`);
  equal(response.status, 200);
  const { changes, next, more, complete } = (await response.json()) as ReportedChanges;
  deepEqual(changes, [
    { ...app, tag: 'v1', digest: one },
    { ...app, tag: 'v1', digest: two },
    { ...app, tag: 'v1', digest: null },
  ]);
  deepEqual([more, complete], [false, true]);
  const fromStart = await ask('line', `since=0&until=${at(1)}&layer=mid`);
  const { changes: first, complete: isComplete } = (await fromStart.json()) as ReportedChanges;
  deepEqual(first, [{ ...app, tag: 'before', digest: one }]);
  equal(isComplete, false, 'the history here begins later');
  const rest = await ask('line', `since=${at(1)}&until=${at(9)}&layer=mid&after=${next}`);
  deepEqual(((await rest.json()) as ReportedChanges).changes, []);
  const others = await ask('other', `since=0&until=${at(9)}&layer=mid`);
  deepEqual(((await others.json()) as ReportedChanges).changes, []);
});

test('a wrong parameter is refused, and so is the account of another child', async () => {
  const wrong = await ask('line', 'since=yesterday');
  equal(wrong.status, 400);
  match(await wrong.text(), /since is not valid/);
  const { password } = await operator.call(createToken, {
    name: 'cell',
    actions: ['gateway/cell/message/write'],
  });
  const login = `Basic ${Buffer.from(`cell:${password}`).toString('base64')}`;
  equal((await ask('line', 'since=0&until=1')).status, 401);
  equal((await ask('line', 'since=0&until=1', login)).status, 403);
  equal((await ask('cell', 'since=0&until=1', login)).status, 200);
});
