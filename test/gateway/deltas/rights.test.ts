import { deepEqual, equal } from 'node:assert/strict';
import { after, test } from 'node:test';
import { ARRIVING_PATH, type Arriving } from '#proto/content/arriving.ts';
import type { DeltaQuestion } from '#proto/sync/delta-exchange.ts';
import { ALL, basic, on, Tokens } from '../accounts.ts';
import { DeltaLayer, questionFor } from './delta-layer.ts';

/** A child learns nothing of repositories that it may not read: neither of their blobs nor of deltas made of them. */

const layer = await DeltaLayer.start();
after(() => layer[Symbol.asyncDispose]());
const tokens = await Tokens.of(layer.rig);
const admin = basic('admin', await tokens.create('admin', on('*', ...ALL)));
const actions = [...on('app/*', 'content/read', 'metadata/read'), ...on('tools', 'content/read')];
const child = basic('child', await tokens.create('child', actions));
layer.work(layer.make);

const blob = (repository: string) => layer.blob(repository, 300_000, admin);
const [secret, tool, own, to] = [
  await blob('secret'),
  await blob('tools'),
  await blob('app/a'),
  await blob('app/a'),
];
const ask = (held: string[], more: Partial<DeltaQuestion> = {}) =>
  layer.ask(questionFor('app/a', to, held, { wait: 20, ...more }), child);

test('a base of a repository that the account may not read is none, whether or not a delta of it is here', async () => {
  deepEqual(await ask([secret]), [{ to, state: 'plain' }]);
  const kept = await layer.keep('app/a', to, [secret]);
  deepEqual(await ask([secret]), [{ to, state: 'plain' }]);
  const [answer] = await layer.ask(questionFor('app/a', to, [secret]), admin);
  equal(answer?.delta?.digest, kept.digest);
  deepEqual(layer.jobs, []);
});

test('a base of another repository that it may read is one', async () => {
  const [answer] = await ask([secret, tool]);
  deepEqual(answer?.delta?.from, [tool]);
  const [job] = layer.jobs;
  deepEqual(job?.kind === 'make' && job.candidates, [tool]);
  const { digest, size } = answer!.delta!;
  equal((await layer.bytes('app/a', digest, 0, size, { login: child })).status, 206);
});

test('a target of a repository that it may not read is unknown, with a delta and without', async () => {
  const [hidden, base] = [await blob('secret'), await blob('secret')];
  const question = questionFor('secret', hidden, [own], { wait: 20 });
  deepEqual(await layer.ask(question, child), [{ to: hidden, state: 'plain' }]);
  const { digest } = await layer.keep('secret', hidden, [base]);
  equal((await layer.bytes('secret', digest, 0, 10, { login: child })).status, 404);
  equal((await layer.bytes('app/a', digest, 0, 10, { login: child })).status, 404);
  equal((await layer.bytes('secret', digest, 0, 10, { login: admin })).status, 206);
});

test('without a login there is no answer', async () => {
  equal((await layer.post('', questionFor('app/a', to, [own]))).status, 401);
  equal((await layer.post('/bases', questionFor('app/a', to, [own]))).status, 401);
  equal((await layer.bytes('app/a', to, 0, 10)).status, 401);
});

test('deltas in transfer are listed to those who may pull target and bases', async () => {
  const next = await blob('app/a');
  const listed = async (headers: Record<string, string>) => {
    const response = await layer.rig.fetch('GET', ARRIVING_PATH, { headers });
    return (((await response.json()) as Arriving).deltas ?? []).map(({ digest }) => digest);
  };
  const [ofOwn, ofTool, ofSecret, hidden] = [
    await layer.arriving('app/a', next, [own]),
    await layer.arriving('app/a', next, [own, tool]),
    await layer.arriving('app/a', next, [own, secret]),
    await layer.arriving('secret', secret, [own]),
  ];
  const digests = [ofOwn, ofTool].map(({ digest }) => digest);
  deepEqual((await listed(child)).toSorted(), digests.toSorted());
  deepEqual((await listed(admin)).toSorted(), [...digests, ofSecret.digest, hidden.digest].toSorted());
});

test('a question whose token loses its rights while it waits is answered without a delta', async () => {
  const [late, base] = [await blob('app/a'), await blob('app/a')];
  const login = basic('passing', await tokens.create('passing', actions));
  const waiting = layer.post('', questionFor('app/a', late, [base, secret], { wait: 20 }), login);
  await tokens.enable('passing', false);
  const { status } = await waiting;
  // It may have been answered before.
  equal([200, 401].includes(status), true, String(status));
  equal((await layer.post('', questionFor('app/a', late, [base]), login)).status, 401);
});
