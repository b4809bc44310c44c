import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Appends } from '#proto/bus/appends.ts';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_APPENDED } from '#proto/jetstream/store-requests.ts';

const bytes = new Uint8Array(1);

/** Records the requests; the sequences count up. */
function recorded(refuses: (ids: string[]) => boolean = () => false) {
  const requests: [string, string[]][] = [];
  let sequence = 0;
  const appends = new Appends(async (subject, events) => {
    const ids = events.map(({ id }) => id);
    requests.push([subject, ids]);
    if (refuses(ids)) throw new Fault('malformed', 'no');
    return events.map(() => {
      sequence += 1;
      return sequence;
    });
  });
  return { appends, requests };
}

test('events of one subject that follow each other in one turn are one request, in order', async () => {
  const { appends, requests } = recorded();
  const all = ['a1', 'a2', 'b1', 'a3'].map((id) => appends.append(id.charAt(0), id, bytes));
  assert.deepEqual(await Promise.all(all), [1, 2, 3, 4]);
  assert.deepEqual(requests, [
    ['a', ['a1', 'a2']],
    ['b', ['b1']],
    ['a', ['a3']],
  ]);
});

test('a request has a limited number of events', async () => {
  const { appends, requests } = recorded();
  const ids = Array.from({ length: MAX_APPENDED + 1 }, (_, i) => `e${i}`);
  await Promise.all(ids.map((id) => appends.append('a', id, bytes)));
  assert.deepEqual(
    requests.map(([, sent]) => sent.length),
    [MAX_APPENDED, 1],
  );
});

test('an event that is refused does not take the others along', async () => {
  const { appends } = recorded((ids) => ids.includes('bad'));
  const [first, bad, last] = await Promise.allSettled(
    ['first', 'bad', 'last'].map((id) => appends.append('a', id, bytes)),
  );
  assert.equal(first?.status, 'fulfilled');
  assert.equal(bad?.status, 'rejected');
  assert.equal(last?.status, 'fulfilled');
});
