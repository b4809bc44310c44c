import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aligned } from '../../../bench/updates/aligned.ts';
import type { Pair } from '../../../bench/updates/pairs.ts';
import {
  goalsOf,
  shareOf,
  timeRatio,
  totalShare,
  type Update,
  updateRows,
} from '../../../bench/updates/shares.ts';
import { rowsOf } from '../../../bench/updates/table.ts';
import { layersOf, pairOf } from './pair-rig.ts';

const MB = 1_000_000;
const changed = (kind: string, builder: string, megabytes: number): Pair => ({
  ...pairOf(kind, layersOf({ a: 10 * MB }), layersOf({ a: 10 * MB, b: megabytes * MB })),
  builder,
});
const measured = (megabytes: number, seconds: number) => ({ bytes: megabytes * MB, seconds });

const node: Update = {
  pair: changed('node', 'buildah', 2),
  rounds: { auto: [measured(0.5, 1), measured(8, 9), measured(0.1, 0)], plain: [measured(2, 4)] },
};
const java: Update = { pair: changed('java', 'buildah', 6), rounds: { auto: [], plain: [measured(6, 12)] } };
const model: Update = { pair: changed('model', 'docker', 12), rounds: { auto: [measured(6.5, 20)] } };
const binary: Update = {
  pair: changed('node-runtime', 'docker', 4),
  rounds: { auto: [measured(2, 3)], plain: [] },
};

test('a share is that of the median of the rounds, relative to the bytes of the layers that changed', () => {
  assert.equal(shareOf(node, 'auto'), 0.25);
  assert.equal(shareOf(node, 'plain'), 1);
  assert.equal(shareOf(java, 'auto'), undefined);
  assert.equal(shareOf(java, 'other'), undefined);
});

test('sums are of the pairs that a peer has brought; times are compared for those brought both ways', () => {
  assert.equal(totalShare([node, java, model], 'auto'), 0.5);
  assert.equal(totalShare([node, java], 'plain'), 1);
  assert.equal(totalShare([node], 'other'), undefined);
  assert.equal(timeRatio([node, java, model]), 0.25);
  assert.equal(timeRatio([java, model]), undefined);
});

test('the table has a row for each pair, for each builder with several, and for all, also without the largest', () => {
  assert.deepEqual(updateRows([node, java, model], ['auto', 'plain']), [
    ['kind', 'builder', 'changed MB', 'auto', 's', 'plain', 's', 'auto ÷ plain'],
    ['node', 'buildah', '2.00', '25.0 %', '1.0', '100.0 %', '4.0', '0.250'],
    ['java', 'buildah', '6.00', '', '', '100.0 %', '12.0', ''],
    ['model', 'docker', '12.00', '54.2 %', '20.0', '', '', ''],
    ['all', 'buildah', '8.00', '25.0 %', '1.0', '100.0 %', '16.0', '0.250'],
    ['all but model', '', '8.00', '25.0 %', '1.0', '100.0 %', '16.0', '0.250'],
    ['all', '', '20.00', '50.0 %', '21.0', '100.0 %', '16.0', '0.250'],
  ]);
  assert.deepEqual(updateRows([java], ['plain']), [
    ['kind', 'builder', 'changed MB', 'plain', 's'],
    ['java', 'buildah', '6.00', '100.0 %', '12.0'],
    ['all', '', '6.00', '100.0 %', '12.0'],
  ]);
});

test('the goals name the pairs that miss them', () => {
  assert.deepEqual(goalsOf([node, binary], 'auto'), [
    'auto: 41.7 % of the changed bytes over all pairs together (goal: 10.0 %)',
    'auto: programs, 1 of 1 above 25.0 %: node-runtime/docker 50.0 %',
    'auto: all pairs, 0 of 2 above 101.0 %',
  ]);
  assert.deepEqual(goalsOf([node], 'other'), []);
});

test('the table of the images has their layers and MB, and what changed of them', () => {
  const small = pairOf('node', layersOf({ a: 10 * MB }), layersOf({ a: 10 * MB, b: 2 * MB }));
  const large = pairOf('java', layersOf({ c: 6 * MB }), layersOf({ d: 6 * MB }));
  assert.deepEqual(rowsOf([small, large]), [
    ['node', 'buildah', '2', '10.00', '12.00', '1', '2.00'],
    ['java', 'buildah', '1', '6.00', '6.00', '1', '6.00'],
  ]);
});

test('texts are aligned to the left, figures to the right, and no line ends with spaces', () => {
  const rows = [
    ['kind', 'MB', 's'],
    ['distribution', '1.00', ''],
    ['', '12.50', '3'],
  ];
  assert.equal(
    aligned(rows, 1),
    ['kind             MB  s', 'distribution   1.00', '              12.50  3'].join('\n'),
  );
  assert.equal(aligned([], 1), '');
});
