import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attributed } from '#proto/bus/relay.ts';
import { check, pack } from '#proto/contract/contract.ts';
import { Envelope, MAX_LAYER_LENGTH } from '#proto/contract/envelope.ts';
import { fitReport, layersToStore, prefixPaths } from '#proto/status/layer-reports.ts';
import { type LayerReport, LayersReport, MAX_DEPTH, MAX_LAYERS } from '#proto/status/layers-below.ts';

/** What goes up through many layers, each of which keeps and tells what it was told. */

const layer = (name: string, detail?: string): LayerReport => ({
  path: [],
  name,
  mode: 'ReadOnly',
  at: 1,
  ...(detail !== undefined && { link: { state: 'Offline', since: 1, coordinator: 'c', detail } }),
});

/** What a layer tells the one above, which takes it and keeps it. */
function up(own: LayerReport, children: Record<string, LayerReport[]>): LayerReport[] {
  const told = fitReport(own, prefixPaths(Object.entries(children)));
  check(LayersReport, { made: 'm', events: [], layers: JSON.parse(JSON.stringify(told)) });
  return layersToStore(told);
}

const counted = (layers: LayerReport[]) => layers.reduce((sum, { leftOut = 0 }) => sum + 1 + leftOut, 0);

test('each layer of a plant is told of, or counted, through as many layers as there are', () => {
  let names = 0;
  const plant = (depth: number): LayerReport[] => {
    names += 1;
    const own = layer(`layer-${names}`, 'ü'.repeat(2_000));
    if (depth === 0) return up(own, {});
    return up(own, Object.fromEntries(['a', 'b', 'c', 'd'].map((child) => [child, plant(depth - 1)])));
  };
  const told = plant(5);
  assert.equal(names, 1_365);
  assert.equal(counted(told), names);
  assert.equal(told.length, MAX_LAYERS);
  // The nearest ones of each child.
  assert.deepEqual(
    told.filter(({ path }) => path.length === 1).map(({ path }) => path[0]),
    ['a', 'b', 'c', 'd'],
  );
});

test('a child with as many layers as a report may have takes none of the places of others', () => {
  const wide = [
    layer('wide'),
    ...Array.from({ length: 255 }, (_, n) => ({ ...layer(`l-${n}`), path: [`l-${n}`] })),
  ];
  const told = up(layer('own'), { wide, small: [layer('small'), { ...layer('cell'), path: ['cell'] }] });
  assert.equal(told.length, MAX_LAYERS);
  assert.equal(counted(told), 1 + 256 + 2);
  assert.ok(told.some(({ path }) => path.join('/') === 'small/cell'));
  assert.equal(told.find(({ path }) => path.length === 0)?.leftOut, 3);
});

test('a chain that is too deep is told as far as it may be, and the rest is counted', () => {
  let told = up(layer('bottom'), {});
  for (let depth = 1; depth < 40; depth += 1) told = up(layer(`l-${depth}`), { next: told });
  assert.equal(counted(told), 40);
  assert.equal(Math.max(...told.map(({ path }) => path.length)), MAX_DEPTH);
});

test('a chain that counts without end is told all the same, by each layer above it', () => {
  const deep = (name: string): LayerReport => ({
    ...layer(name),
    path: Array.from({ length: MAX_DEPTH }, () => name),
    leftOut: Number.MAX_SAFE_INTEGER,
  });
  const told = up(layer('top'), { next: [layer('child'), deep('a'), deep('b')] });
  assert.equal(told[0]?.leftOut, Number.MAX_SAFE_INTEGER);
});

test('an event that goes up through many layers can be taken by each of them, and names the way', () => {
  let event: Envelope = {
    specversion: '1.0',
    id: 'a-1',
    source: '/layers/bottom/a',
    type: 'terrace.tag.moved',
    time: '2030-01-01T00:00:00.000Z',
    layer: 'bottom',
    data: {},
  };
  const way = ['bottom', 'cell', 'line', 'plant', 'site'];
  for (const child of way) {
    event = attributed(child, event);
    pack(Envelope, event);
    // The same again where it is told again.
    assert.deepEqual(attributed(child, event), event);
  }
  assert.equal(event.layer, 'site/plant/line/cell/bottom');
  assert.equal(event.source, '/layers/site/plant/line/cell/bottom/a');
  for (let depth = 0; depth < 100; depth += 1) {
    event = attributed(`${'x'.repeat(50)}-${depth}`, event);
    pack(Envelope, event);
  }
  assert.ok((event.layer?.length ?? 0) <= MAX_LAYER_LENGTH);
  assert.ok(event.layer?.startsWith(`${'x'.repeat(50)}-99/`));
});
