import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImageTracker, type PassFacts } from '../../../cli/text/image-progress.ts';
import { jsonView, lineView } from '../../../cli/text/progress.ts';
import { progressLines } from '../../../cli/text/progress-lines.ts';
import { until } from '../../support/until.ts';

/** The progress of images, by the events of a pass. */

const MB = 1_000_000;
const image = (tag: string, more: PassFacts = {}): PassFacts => ({
  pass: 'p',
  repository: 'line/web',
  tag,
  digest: `sha256:${tag}`,
  direction: 'down',
  ...more,
});
const blob = (digest: string, more: PassFacts = {}): PassFacts => ({
  pass: 'p',
  repository: 'line/web',
  digest,
  size: 4 * MB,
  direction: 'down',
  ...more,
});

function trackerWith(...events: [string, PassFacts][]): ImageTracker {
  const tracker = new ImageTracker();
  for (const [type, facts] of events) tracker.apply(`terrace.${type}`, facts);
  return tracker;
}

const BEGUN: [string, PassFacts][] = [
  ['pass.started', { pass: 'p' }],
  ['pass.planned', { pass: 'p', actions: 3 }],
  ['image.started', image('1', { bytes: 8 * MB, largest: ['a', 'b'] })],
  ['image.started', image('2', { bytes: 4 * MB, largest: ['b'] })],
  ['transfer.started', blob('a', { present: 1 * MB })],
];

test('an image is as far as its blobs are, with the rate and the time left of it and of all', () => {
  const tracker = trackerWith(...BEGUN);
  tracker.progress(0);
  tracker.apply('terrace.transfer.progressed', blob('a', { done: 3 * MB }));
  tracker.apply('terrace.transfer.progressed', blob('x', { done: 9 * MB }));
  const { images, total } = tracker.progress(2_000);
  assert.deepEqual(images, [
    { image: 'line/web:1', direction: 'down', bytes: 8 * MB, done: 3 * MB, rate: 1 * MB, leftMs: 5_000 },
    { image: 'line/web:2', direction: 'down', bytes: 4 * MB, done: 0 },
  ]);
  const figures = { bytes: 12 * MB, done: 3 * MB, rate: 1 * MB, leftMs: 9_000 };
  assert.deepEqual(total, { planned: 3, finished: 0, open: true, ...figures });
  assert.deepEqual(progressLines({ images, total }), [
    '↓ line/web:1  █████░░░░░░░░░  37 %, 5 s left',
    '↓ line/web:2  ░░░░░░░░░░░░░░  0 %',
    '  total       0 of 3 done, 25 % of 12.0 MB, 1.0 MB/s, more than 9 s left',
  ]);
  for (const line of progressLines({ images, total })) assert.ok(line.length < 80, line);
});

test('a blob that began before its image counts, a shared one for each image, and a finished image stays in the total', () => {
  const tracker = trackerWith(
    ['transfer.progressed', blob('b', { done: 1 * MB })],
    ...BEGUN,
    ['transfer.finished', blob('b')],
    ['image.finished', image('2')],
  );
  const { images, total } = tracker.progress(0);
  assert.deepEqual(
    images.map(({ image, done }) => [image, done]),
    [['line/web:1', 5 * MB]],
  );
  assert.deepEqual([total.finished, total.done, total.bytes], [1, 9 * MB, 12 * MB]);
});

test('of a blob that a delta makes, the bytes of the delta count, and what does not cross the link is named', () => {
  const delta = { size: 1 * MB };
  const tracker = trackerWith(...BEGUN);
  tracker.apply('terrace.transfer.progressed', blob('a', { done: MB / 2, delta }));
  const [first] = tracker.progress(0).images;
  assert.deepEqual(first, {
    ...{ image: 'line/web:1', direction: 'down', bytes: 5 * MB, done: MB / 2, saved: 3 * MB },
  });
  const { images, total } = tracker.progress(0);
  assert.match(progressLines({ images, total }).at(-1) ?? '', /0 of 3 done, 5 % of 9\.0 MB, 3\.0 MB saved/);
  tracker.apply('terrace.transfer.finished', blob('a', { delta, saved: { bytes: 3 * MB } }));
  tracker.apply('terrace.transfer.finished', blob('b'));
  const ended = tracker.apply('terrace.image.finished', image('1'));
  assert.deepEqual([ended?.bytes, ended?.done, ended?.saved], [5 * MB, 5 * MB, 3 * MB]);
  assert.deepEqual([tracker.progress(0).total.bytes, tracker.progress(0).total.saved], [9 * MB, 3 * MB]);
});

test('a blob that was there already is as it came before', () => {
  const tracker = trackerWith(...BEGUN);
  tracker.apply(
    'terrace.transfer.finished',
    blob('a', { delta: { size: 1 * MB }, saved: { bytes: 3 * MB } }),
  );
  tracker.apply('terrace.transfer.finished', blob('a', { held: true }));
  tracker.apply('terrace.transfer.finished', blob('b', { held: true }));
  const { bytes, done, saved } = tracker.progress(0).images[0] ?? {};
  assert.deepEqual([bytes, done, saved], [5 * MB, 5 * MB, 3 * MB]);
});

test('a delta that could not be used counts no more once the blob itself crosses the link', () => {
  const tracker = trackerWith(...BEGUN, ['transfer.started', blob('a', { present: 0, delta: { size: 9 } })]);
  tracker.apply('terrace.transfer.started', blob('a', { present: 0 }));
  assert.deepEqual(tracker.progress(0).images[0]?.bytes, 8 * MB);
});

test('an image that was pulled by deltas says what crossed the link instead of it', () => {
  const lines: string[] = [];
  const view = lineView((line) => lines.push(line), new ImageTracker(), 1e6);
  const delta = { size: 1 * MB };
  const finished: [string, PassFacts] = ['transfer.finished', blob('a', { delta, saved: { bytes: 3 * MB } })];
  for (const event of [...BEGUN, finished]) view.onEvent(received(event));
  view.onEvent(received(['image.finished', image('1')]));
  view.end();
  assert.equal(lines.at(-1), 'line/web:1: pulled, 5.0 MB instead of 8.0 MB');
});

test('a pass that ended leaves no image, and another pass meanwhile takes none away', () => {
  const tracker = trackerWith(...BEGUN, ['pass.started', { pass: 'q' }], ['pass.finished', { pass: 'q' }]);
  assert.equal(tracker.progress(0).images.length, 2);
  tracker.apply('terrace.pass.finished', { pass: 'p' });
  assert.deepEqual(progressLines(tracker.progress(0)), []);
});

const received = ([type, data]: [string, PassFacts]) => ({
  ...{ specversion: '1.0' as const, id: '1', source: '/layers/a/b', type: `terrace.${type}`, time: '' },
  data,
});

test('without a terminal, the progress is a line from time to time', async () => {
  const lines: string[] = [];
  const view = lineView((line) => lines.push(line), new ImageTracker(), 5);
  for (const event of BEGUN) view.onEvent(received(event));
  await until(() =>
    lines.some((line) => /^0 of 3 done, 8 % of 12\.0 MB: line\/web:1 12 %; line\/web:2 0 %$/.test(line)),
  );
  view.end();
});

test('as JSON, each event is a line, and so is the progress', async () => {
  const lines: Record<string, unknown>[] = [];
  const view = jsonView((line) => lines.push(JSON.parse(line)), new ImageTracker(), 5);
  for (const event of BEGUN) view.onEvent(received(event));
  await until(() => lines.some(({ type }) => type === 'progress'));
  view.end();
  assert.deepEqual(
    lines.slice(0, 5).map(({ type }) => type),
    BEGUN.map(([type]) => `terrace.${type}`),
  );
  const { images, total } = lines.find(({ type }) => type === 'progress') as Record<string, object[]>;
  assert.equal(images?.length, 2);
  assert.ok(total);
});
