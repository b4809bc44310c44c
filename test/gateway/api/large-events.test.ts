import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import type { Events } from '#proto/api/events.ts';
import type { HistoryReader } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { ArchiveQuery } from '#proto/jetstream/archive.ts';
import type { OperationCall } from '../../../services/gateway/api/operation/operation.ts';
import { eventsOperation } from '../../../services/gateway/api/read/events.ts';
import { manifestHistoryOperation } from '../../../services/gateway/api/read/manifest-history.ts';
import type { Gateway } from '../../../services/gateway/routes/resource.ts';

/** Max size of an answer, with its last event, in bytes. */
const MAX_BYTES = 4.5 * 1024 * 1024;
const COUNT = 60;
const LAST = COUNT;

/** A history of events of layers below, each as large as a report may carry. */
const archive = {
  bounds: async () => ({ first: 1, last: LAST, made: 'once' }),
  read: async ({ from, limit }: ArchiveQuery) => {
    const first = 'sequence' in from ? from.sequence : 1;
    const count = Math.max(0, Math.min(limit, 4, LAST - first + 1));
    return Array.from({ length: count }, (_, index) => {
      const event = {
        ...{ specversion: '1.0', id: `${first + index}`, source: 's', type: 'terrace.tag.moved' },
        ...{ time: '2026-01-01T00:00:00Z', data: { text: 'x'.repeat(125 * 1024) } },
      };
      return { sequence: first + index, subject: 'events.tag.moved', data: encode(event) };
    });
  },
};

const ask = async (query: object): Promise<Events> => {
  const { handler } = eventsOperation({ archive } as unknown as HistoryReader);
  return (await handler({ query } as OperationCall)) as Events;
};
const sequencesOf = ({ items }: Events) => items.map((item) => ('gap' in item ? 0 : item.sequence));

test('an answer of large events ends at 4 MiB, and its cursor goes on after them', async () => {
  const found: number[] = [];
  let answers = 0;
  for (let after = 0; ; ) {
    const answer = await ask({ after, limit: 1_000 });
    assert.ok(JSON.stringify(answer).length < MAX_BYTES);
    answers += 1;
    found.push(...sequencesOf(answer));
    after = answer.next ?? after;
    if (!answer.more) break;
  }
  assert.ok(answers > 1);
  assert.deepEqual(
    found,
    Array.from({ length: COUNT }, (_, index) => index + 1),
  );
});

test('the newest large events are as many as fit into 4 MiB', async () => {
  const answer = await ask({ newest: true, limit: 1_000 });
  assert.ok(JSON.stringify(answer).length < MAX_BYTES);
  const found = sequencesOf(answer);
  assert.equal(found.at(-1), LAST);
  assert.ok(found.length > 20 && found.length < COUNT);
});

test('the history of a manifest that cannot be read is a fault, and not an empty one', async () => {
  const refused = new Fault('too-many', 'many pages of events are already being read: retry later');
  const bus = { archive: { ...archive, read: () => Promise.reject(refused) } };
  const { handler } = manifestHistoryOperation({ bus } as unknown as Gateway);
  const params = { name: 'app', reference: `sha256:${'a'.repeat(64)}` };
  await assert.rejects(handler({ request: { params } } as unknown as OperationCall), refused);
});
