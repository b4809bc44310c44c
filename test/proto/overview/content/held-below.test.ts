import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { matches } from '#proto/bus/permissions.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import type { ArchiveQuery } from '#proto/jetstream/archive.ts';
import { heldBelow } from '#proto/overview/content/held-below.ts';

/** The last event of a layer below that names a manifest says whether the layer has it. */

const digest = `sha256:${'a'.repeat(64)}`;
const other = `sha256:${'b'.repeat(64)}`;
const AT = Date.UTC(2030, 0, 1);

type Stored = [child: string, type: string, data: { digest: string; direction?: string }, layer?: string];

/** @param events oldest first */
function historyOf(events: Stored[]): HistoryReader {
  const stored = events.map(([child, type, data, layer = child], index) => ({
    sequence: index + 1,
    subject: `below.${child}.${type}`,
    data: encode({
      ...{ specversion: '1.0', id: String(index), source: `/layers/${layer}`, type: `terrace.${type}` },
      ...{
        time: new Date(AT + index * 1_000).toISOString(),
        layer,
        data: { repository: 'line/web', ...data },
      },
    }),
  }));
  const archive = {
    bounds: async () => ({ first: 1, last: stored.length, made: 'once' }),
    read: async ({ from, subject = '>', limit }: ArchiveQuery) => {
      const start = from && 'sequence' in from ? Number(from.sequence) : 1;
      return stored.filter((one) => one.sequence >= start && matches(subject, one.subject)).slice(0, limit);
    },
  };
  return { archive } as unknown as HistoryReader;
}

test('layers below that pulled or received a manifest have it, until they report its deletion', async () => {
  const history = historyOf([
    ['line-1', 'manifest.committed', { digest }],
    ['line-1', 'image.finished', { digest, direction: 'down' }, 'line-1/cell-2'],
    ['line-2', 'manifest.committed', { digest }],
    ['line-2', 'manifest.deleted', { digest }],
    ['line-3', 'manifest.committed', { digest: other }],
    // It pushed the image up, which says nothing of what it holds.
    ['line-4', 'image.finished', { digest, direction: 'up' }],
  ]);
  const held = await heldBelow(history, 'line/web', digest);
  deepEqual(
    held.sort((a, b) => a.at - b.at),
    [
      { layer: 'line-1', at: AT },
      { layer: 'line-1/cell-2', at: AT + 1_000 },
    ],
  );
  deepEqual(await heldBelow(history, 'line/other', digest), []);
});
