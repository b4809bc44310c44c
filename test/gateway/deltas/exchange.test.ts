import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { chmod, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ARRIVING_PATH, type Arriving } from '#proto/content/arriving.ts';
import { tagMoved } from '#proto/content/content-events.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import { DELTAS_PATH } from '#proto/sync/delta-exchange.ts';
import { until } from '../../support/until.ts';
import { sha256 } from '../gateway-rig.ts';
import { DeltaLayer, questionFor } from './delta-layer.ts';

/** A child asks for deltas, and receives them: also while they are made, and while they arrive. */

const layer = await DeltaLayer.start();
after(() => layer[Symbol.asyncDispose]());
const { rig } = layer;
let outcome = layer.make;
layer.work((job) => outcome(job));

test('a question waits until the delta is made; its bytes are answered by ranges', async () => {
  const [old, to] = [await layer.blob('app'), await layer.blob('app')];
  const [answer] = await layer.ask(questionFor('app', to, [old], { wait: 30 }));
  equal(answer?.state, 'delta');
  const { digest, size, from } = answer!.delta!;
  deepEqual(from, [old]);
  const complete = await layer.bytes('app', digest, 0, size);
  equal(complete.status, 206);
  equal(complete.headers.get('content-range'), `bytes 0-${size - 1}/${size}`);
  const bytes = Buffer.from(await complete.arrayBuffer());
  equal(sha256(bytes), digest);
  const part = await layer.bytes('app', digest, 100, 200);
  ok(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(100, 200)));
  equal((await layer.bytes('app', digest, size, size + 1)).status, 416);
  deepEqual(await layer.ask(questionFor('app', to, [old])), [answer], 'another child');
  equal(layer.jobs.length, 1);
});

test('a job that fails ends the wait: the blob crosses the link in full', async () => {
  const [old, to] = [await layer.blob('app'), await layer.blob('app')];
  outcome = layer.fail;
  deepEqual(await layer.ask(questionFor('app', to, [old], { wait: 30 })), [{ to, state: 'plain' }]);
  outcome = layer.make;
  deepEqual(await layer.ask(questionFor('app', to, [old], { wait: 30 })), [{ to, state: 'plain' }]);
});

test('if events may have been missed, a job without an outcome is submitted again for those who wait', async () => {
  const [old, to] = [await layer.blob('app'), await layer.blob('app')];
  const before = layer.jobs.length;
  const storage = await rig.testBus.connect('storage', 'storage-of-test');
  // It does not report its end.
  outcome = async () => {};
  const waiting = layer.ask(questionFor('app', to, [old], { wait: 15 }));
  await until(() => layer.jobs.length > before);
  outcome = layer.make;
  // A malformed event counts as missed.
  storage.publish(tagMoved, {} as never);
  equal((await waiting)[0]?.state, 'delta');
});

test('one answer covers an image; without a wait, it says what is being made', async () => {
  const [old, to, other] = [await layer.blob('app'), await layer.blob('app'), await layer.blob('app')];
  const absent = sha256('absent');
  const wanted = [to, absent, other].map((digest) => ({ digest, size: 300_000 }));
  const question = { ...questionFor('app', to, [old]), wanted, layers: [to, absent, other] };
  const states = (answers: { state: string }[]) => answers.map(({ state }) => state);
  deepEqual(states(await layer.ask(question)), ['making', 'plain', 'making']);
  deepEqual(states(await layer.ask({ ...question, wait: 30 })), ['delta', 'plain', 'delta']);
});

test('an image gets all of its deltas, also if it has more of them than an account may have jobs', async () => {
  const old = await layer.blob('app');
  const targets = await Promise.all(Array.from({ length: 40 }, () => layer.blob('app')));
  const wanted = targets.map((digest) => ({ digest, size: 300_000 }));
  const question = { ...questionFor('app', old, [old]), wanted, layers: targets };
  const before = layer.jobs.length;
  const [answers, others] = await Promise.all([
    layer.ask({ ...question, wanted: wanted.slice(0, 25), wait: 30 }),
    layer.ask({ ...question, wanted: wanted.slice(25), wait: 30 }),
  ]);
  deepEqual(
    [...answers, ...others].map(({ state }) => state),
    targets.map(() => 'delta'),
  );
  equal(layer.jobs.length - before, 40);
});

test('a delta that still arrives here is handed on, as far as it has arrived', async () => {
  const [old, to] = [await layer.blob('app'), await layer.blob('app')];
  const before = await list();
  const transfer = await layer.arriving('app', to, [old]);
  const { digest, bytes } = transfer;
  const [listed] = (await list()).deltas ?? [];
  deepEqual([listed?.digest, listed?.delta.to, listed?.delta.from], [digest, to, [old]]);
  ok((await list()).cursor !== before.cursor);
  deepEqual((await list()).blobs, [], 'an older child would fetch it as a blob');
  equal((await layer.bytes('app', digest, 0, 1_000)).status, 204);
  const waiting = layer.bytes('app', digest, 0, 1_000, { wait: 30 });
  await transfer.write(0, 400);
  const part = await waiting;
  equal(part.headers.get('content-range'), 'bytes 0-399/1000');
  ok(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(0, 400)));
  await transfer.write(400, 1_000);
  await transfer.commit();
  const rest = await layer.bytes('app', digest, 400, 1_000);
  ok(Buffer.from(await rest.arrayBuffer()).equals(bytes.subarray(400)));
  const blob = await rig.fetch('GET', `/v2/app/blobs/${digest}`);
  equal(blob.status, 404, 'to clients, it is no content');
});

test('a delta whose file cannot be read is checked by storage, and is not offered again', async () => {
  const [old, to] = [await layer.blob('app'), await layer.blob('app')];
  const { digest, size } = await layer.keep('app', to, [old]);
  const file = join(rig.data, 'blobs/sha256', digest.slice(7, 9), digest.slice(7));
  await chmod(file, 0o600);
  await truncate(file, 10);
  const read = () => layer.bytes('app', digest, 0, size);
  await rejects(async () => (await read()).arrayBuffer());
  await until(async () => (await read().catch(() => {}))?.status === 404, 'storage has deleted the delta');
});

async function list(): Promise<Arriving> {
  return (await (await rig.fetch('GET', ARRIVING_PATH)).json()) as Arriving;
}

test('a delta is answered only for a repository that has its target', async () => {
  const [old, to] = [await layer.blob('app'), await layer.blob('app')];
  await layer.blob('other');
  const { digest } = await layer.keep('app', to, [old]);
  equal((await layer.bytes('app', digest, 0, 10)).status, 206);
  equal((await layer.bytes('other', digest, 0, 10)).status, 404);
  equal((await layer.bytes('app', sha256('none'), 0, 10)).status, 404);
  equal((await layer.bytes('No', digest, 0, 10)).status, 400);
  deepEqual(await layer.ask(questionFor('other', to, [old])), [{ to, state: 'plain' }]);
});

test('a body that is no question is refused, with the field and the limit', async () => {
  const question = questionFor('app', sha256('x'), [sha256('y')]);
  const refused = async (body: unknown, status: number, message: RegExp) => {
    const response = await layer.post('', body);
    equal(response.status, status);
    match(await response.text(), message);
  };
  await refused('{', 400, /not JSON|JSON/);
  await refused({ ...question, wait: 60 }, 400, /\/wait/);
  await refused({ ...question, repository: 'No' }, 400, /\/repository/);
  await refused({ ...question, wanted: [] }, 400, /\/wanted/);
  await refused({ ...question, layers: ['latest'] }, 400, /\/layers\/0/);
  const many = Array.from({ length: 501 }, (_, n) => sha256(String(n)));
  await refused({ ...question, held: [many] }, 400, /\/held\/0/);
  await refused({ ...question, held: [many.slice(300), many.slice(0, 350)] }, 400, /\/held: has 501 digests/);
  await refused(JSON.stringify(question).padEnd(300_000), 413, /more than 262144 bytes/);
});

test('a ReadOnly layer answers questions, and the audit does not record them', async () => {
  const [old, to] = [await layer.blob('app'), await layer.blob('app')];
  const { digest } = await layer.keep('app', to, [old]);
  rig.mode = 'ReadOnly';
  const [answer] = await layer.ask(questionFor('app', to, [old]));
  rig.mode = 'ReadWrite';
  equal(answer?.delta?.digest, digest);
  const audited = rig.logged.filter(({ audit, status }) => audit && status === 200);
  deepEqual(audited, []);
});

test('while deltas are off, every blob crosses the link in full', async () => {
  const [old, to] = [await layer.blob('app'), await layer.blob('app')];
  await layer.keep('app', to, [old]);
  rig.configuration = { delta: { mode: 'off' } } as Configuration;
  const answers = await layer.ask(questionFor('app', to, [old], { wait: 30 }));
  rig.configuration = undefined;
  deepEqual(answers, [{ to, state: 'plain' }]);
});

test('requests are counted as those of deltas', async () => {
  const counted = () => {
    const { endpoints } = rig.gateway.httpCounters.read();
    return endpoints.filter(({ route }) => route === 'delta').map(({ method }) => method);
  };
  await until(() => counted().length === 2);
  deepEqual(counted().toSorted(), ['GET', 'POST']);
  equal((await rig.fetch('DELETE', DELTAS_PATH)).status, 405);
});
