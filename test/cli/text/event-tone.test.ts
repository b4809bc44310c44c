import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventTypes } from '#proto/contract/event-types.ts';
import type { Tone } from '../../../cli/terminal/colour.ts';
import { toneOf } from '../../../cli/text/event-tone.ts';

const event = (type: string, data?: object) => ({
  specversion: '1.0' as const,
  id: 'a-1',
  source: '/layers/line-7/syncer-1',
  type: `terrace.${type}`,
  time: '2030-01-01T00:00:00.000Z',
  data,
});

const rows: [type: string, data: object | undefined, tone: Tone | undefined][] = [
  ['image.failed', {}, 'bad'],
  ['image.conflict', {}, 'warning'],
  ['transfer.delayed', undefined, 'warning'],
  ['delta.failed', { poor: true }, undefined],
  ['delta.failed', undefined, 'warning'],
  ['delta.mismatched', {}, 'warning'],
  ['transfer.progressed', {}, undefined],
  ['tag.moved', { tag: 'Offline' }, undefined],
  ['link.changed', { state: 'Offline' }, 'bad'],
  ['link.changed', { state: 'Unhealthy' }, 'warning'],
  ['link.changed', { state: 'Online' }, 'good'],
  ['link.changed', { state: 'Syncing' }, undefined],
  ['link.changed', undefined, undefined],
  ['link.changed', { state: 'toString' }, undefined],
  ['webhook.changed', { state: 'Parked' }, 'warning'],
  ['forwarding.changed', { state: 'Connected' }, 'good'],
  ['forwarding.changed', { state: 'Connected', lost: 3 }, 'bad'],
  ['space.changed', { low: true }, 'bad'],
  ['space.changed', { low: false }, 'good'],
  ['pass.finished', { ok: true, failed: 0, parked: 0 }, undefined],
  ['pass.finished', { ok: false, failed: 2, parked: 1 }, 'bad'],
  ['pass.finished', { ok: false, failed: 0, parked: 1 }, 'warning'],
  ['pass.finished', { ok: false, failed: 0, parked: 0, ended: 'window' }, undefined],
  ['scrub.finished', { damaged: 0, metadata: [] }, undefined],
  ['scrub.finished', { damaged: 0, metadata: ['000005.ldb'] }, 'bad'],
  ['backup.completed', { blobs: 3 }, undefined],
  ['backup.completed', { missing: { blobs: 1 } }, 'warning'],
  ['constructor', {}, undefined],
];
for (const [type, data, tone] of rows) {
  test(`${type} ${JSON.stringify(data) ?? ''}: ${tone ?? 'no colour'}`, () => {
    assert.equal(toneOf(event(type, data)), tone);
  });
}

test('each event that says by its type that something failed has a colour', () => {
  const plain = eventTypes.filter(
    (type) =>
      /\.(failed|damaged|refused|lost|dropped|parked|conflict|incomplete)$/.test(type) &&
      !toneOf(event(type)),
  );
  assert.deepEqual(plain, []);
});
