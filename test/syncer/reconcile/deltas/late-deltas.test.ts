import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { HeldDelta } from '#proto/content/deltas.ts';
import type { OfferedDelta } from '../../../../services/syncer/link/terrace/parent-deltas.ts';
import { GatewayRig } from '../../../gateway/gateway-rig.ts';
import { pushImage } from '../../../support/registry/image.ts';
import { until } from '../../../support/until.ts';
import { DELTA, deltasOf, deltaTo, imageOf, MB, OTHER, parentWith } from './image-rig.ts';

/** Deltas to blobs that have begun to cross the link in full. */

let layer: GatewayRig;
let host: string;
before(async () => {
  layer = await GatewayRig.start();
  host = `http://127.0.0.1:${layer.port}`;
});
after(() => layer[Symbol.asyncDispose]());

/** A blob that begins to cross the link in full, and reports of its transfer. */
async function crossing(
  answers: ((digest: string) => OfferedDelta)[],
  { rate, savedMs = 0, size = 30 * MB }: { rate?: number; savedMs?: number; size?: number },
) {
  const held = await pushImage(host, 'app', 'v1', { layers: [1_000, 2_000] });
  const { offers, asked } = parentWith(...answers);
  const listeners = new Map<string, (event: { data: unknown }) => void>();
  const published: HeldDelta[] = [];
  const deltas = await deltasOf(layer, offers, {
    ...{ savedMs, listeners, published },
    ...(rate !== undefined && { rate }),
  });
  const decision = await deltas.decisions(imageOf([OTHER], [held.digest], [size])).get(OTHER);
  const data = { digest: OTHER, repository: 'app', direction: 'down' };
  const report = async (type: string, more: object) => {
    listeners.get(type)?.({ data: { ...data, ...more } });
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { deltas, decision, asked, published, report, from: [held.layers[0]!.digest] };
}
const large = (from: string[]) => ({ ...deltaTo(OTHER, from, MB), toSize: 30 * MB });

test('a delta that comes too late is offered to the transfer of the blob, while much of that is left', async () => {
  const answer = () => large([]);
  const { decision, asked, published, report } = await crossing([() => 'making', answer], { rate: MB });
  assert.deepEqual([decision, asked.length], [undefined, 1]);
  await report('transfer.started', { present: 0 });
  await until(() => published.length > 0);
  assert.partialDeepStrictEqual(published, [{ ...answer(), repository: 'app', syncer: 's' }]);
  await report('transfer.progressed', { done: MB });
  assert.equal(published.length, 1, 'once');
  await report('transfer.started', { present: 2 * MB });
  assert.equal(published.length, 2, 'to another transfer of the blob, too');
  assert.deepEqual(
    asked.map(({ wait }) => wait > 0),
    [false, true],
  );
});

test('when little of the blob is left, when it is here, and when it crosses as a delta, nothing is offered', async () => {
  for (const [type, more] of [
    ['transfer.progressed', { done: 28 * MB }],
    ['transfer.progressed', { done: 0, delta: { digest: DELTA, size: 1 } }],
    ['transfer.finished', {}],
  ] as const) {
    const { asked, published, report } = await crossing([() => 'making', () => large([])], { rate: MB });
    await report(type, more);
    await report('transfer.progressed', { done: 28 * MB });
    assert.deepEqual([asked.length, published], [1, []], type);
  }
});

test('nothing is asked about a transfer while the link is fast, nor after the images are pulled', async () => {
  const { decision, asked, published, report, deltas } = await crossing([() => large([])], {
    rate: 300 * MB,
  });
  assert.deepEqual([decision, asked.length], [undefined, 0]);
  await report('transfer.progressed', { done: MB });
  assert.equal(asked.length, 0);
  deltas[Symbol.dispose]();
  await report('transfer.progressed', { done: 2 * MB });
  assert.deepEqual([asked.length, published], [0, []]);
});
