import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attributed } from '#proto/bus/relay.ts';
import { check, pack } from '#proto/contract/contract.ts';
import { Envelope, MAX_LAYER_LENGTH } from '#proto/contract/envelope.ts';
import { fitReport, layersToStore, prefixPaths } from '#proto/status/layer-reports.ts';
import { type LayerReport, LayersReport, MAX_DEPTH, MAX_LAYERS } from '#proto/status/layers-below.ts';

/** Reports and events that pass through many layers, each of which stores and forwards them. */

const layer = (name: string, detail?: string): LayerReport => ({
  path: [],
  name,
  mode: 'ReadOnly',
  at: 1,
  ...(detail !== undefined && { link: { state: 'Offline', since: 1, coordinator: 'c', detail } }),
});

/** The report of a layer, as its parent checks and stores it. */
function reportToParent(own: LayerReport, children: Record<string, LayerReport[]>): LayerReport[] {
  const report = fitReport(own, prefixPaths(Object.entries(children)));
  check(LayersReport, { made: 'm', events: [], layers: JSON.parse(JSON.stringify(report)) });
  return layersToStore(report);
}

const total = (layers: LayerReport[]) => layers.reduce((sum, { leftOut = 0 }) => sum + 1 + leftOut, 0);

test('each layer of a plant is reported or counted, over any number of levels', () => {
  let names = 0;
  const plant = (depth: number): LayerReport[] => {
    names += 1;
    const own = layer(`layer-${names}`, 'ü'.repeat(2_000));
    if (depth === 0) return reportToParent(own, {});
    return reportToParent(
      own,
      Object.fromEntries(['a', 'b', 'c', 'd'].map((child) => [child, plant(depth - 1)])),
    );
  };
  const reported = plant(5);
  assert.equal(names, 1_365);
  assert.equal(total(reported), names);
  assert.equal(reported.length, MAX_LAYERS);
  // The nearest layers of each child.
  assert.deepEqual(
    reported.filter(({ path }) => path.length === 1).map(({ path }) => path[0]),
    ['a', 'b', 'c', 'd'],
  );
});

test('a child that fills a report displaces no layer of another child', () => {
  const wide = [
    layer('wide'),
    ...Array.from({ length: 255 }, (_, n) => ({ ...layer(`l-${n}`), path: [`l-${n}`] })),
  ];
  const reported = reportToParent(layer('own'), {
    wide,
    small: [layer('small'), { ...layer('cell'), path: ['cell'] }],
  });
  assert.equal(reported.length, MAX_LAYERS);
  assert.equal(total(reported), 1 + 256 + 2);
  assert.ok(reported.some(({ path }) => path.join('/') === 'small/cell'));
  assert.equal(reported.find(({ path }) => path.length === 0)?.leftOut, 3);
});

test('a chain that is too deep is reported to the maximum depth, and the rest is counted', () => {
  let reported = reportToParent(layer('bottom'), {});
  for (let depth = 1; depth < 40; depth += 1)
    reported = reportToParent(layer(`l-${depth}`), { next: reported });
  assert.equal(total(reported), 40);
  assert.equal(Math.max(...reported.map(({ path }) => path.length)), MAX_DEPTH);
});

test('a count of left-out layers that exceeds the largest integer is clipped, and the report is valid', () => {
  const deep = (name: string): LayerReport => ({
    ...layer(name),
    path: Array.from({ length: MAX_DEPTH }, () => name),
    leftOut: Number.MAX_SAFE_INTEGER,
  });
  const reported = reportToParent(layer('top'), { next: [layer('child'), deep('a'), deep('b')] });
  assert.equal(reported[0]?.leftOut, Number.MAX_SAFE_INTEGER);
});

test('an event that passes through many layers is valid in each of them and names its path', () => {
  let event: Envelope = {
    specversion: '1.0',
    id: 'a-1',
    source: '/layers/bottom/a',
    type: 'terrace.tag.moved',
    time: '2030-01-01T00:00:00.000Z',
    layer: 'bottom',
    data: {},
  };
  const path = ['bottom', 'cell', 'line', 'plant', 'site'];
  for (const child of path) {
    event = attributed(child, event);
    pack(Envelope, event);
    // Unchanged if it is reported again.
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
