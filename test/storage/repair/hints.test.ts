import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tagMoved } from '#proto/content/content-events.ts';
import { effective, hintsIn, inOrder } from '../../../services/storage/repair/hints.ts';
import type { Remnant } from '../../../services/storage/repair/remnants.ts';

/** Hints from several sources: in which order they apply, and which of them count. */

const app = 'line/app';

test('the net effect of hints counts', () => {
  const [one, two] = ['1', '2'].map((digit) => `sha256:${digit.repeat(64)}`) as [string, string];
  const { manifests, tags } = effective([
    { repository: app, tag: 'v1', digest: one },
    { repository: app, tag: 'v1', digest: two },
    { repository: app, tag: 'gone', digest: one },
    { repository: app, tag: 'gone', digest: one, deleted: true },
    { repository: app, digest: one, deleted: true },
  ]);
  assert.deepEqual(manifests, [{ repository: app, digest: two }]);
  assert.deepEqual([...tags], [[`${app}!v1`, [one, two]]]);
});

test('of the moves of a tag in damaged bytes, the last one counts, and digests without content are ignored', () => {
  const [one, two, none] = ['1', '2', '3'].map((digit) => `sha256:${digit.repeat(64)}`) as [
    string,
    string,
    string,
  ];
  const move = (digest: string, eventDigest: string): Remnant[] => [
    { key: `t!${app}!v1`, deleted: false, value: digest },
    {
      key: 'e!0000000000000007',
      deleted: false,
      value: {
        type: tagMoved.type,
        data: { repository: app, tag: 'v1', digest: eventDigest, mediaType: 'a/b' },
      },
    },
  ];
  const last = (...remnants: Remnant[]) =>
    hintsIn(remnants, (digest) => digest !== none).hints.map(({ digest }) => digest);
  assert.deepEqual(last(...move(one, one), ...move(two, two)), [two]);
  assert.deepEqual(last(...move(one, none)), [one]);
  assert.deepEqual(last(...move(none, one)), [one]);
  assert.deepEqual(
    last(...move(one, one), { key: `t!${app}!v1`, deleted: true }),
    [],
    'the tag is deleted last',
  );
  assert.deepEqual(last({ key: `t!${app}!v1`, deleted: false, value: one }), []);
});

test('hints from damaged bytes follow the events if the bytes have a later outbox record than the oldest one', () => {
  const hint = (digit: number) => ({ repository: app, digest: `sha256:${String(digit).repeat(64)}` });
  const damaged = (digit: number, serial?: number) => ({
    hints: [hint(digit)],
    serial,
    named: [],
    unconfirmed: false,
  });
  const order = (...outbox: number[]) =>
    inOrder(
      [damaged(1), damaged(2, 20), damaged(3, 40)],
      [hint(4)],
      outbox.map((serial) => ({ serial, hint: hint(serial / 10) })),
    ).map(({ digest }) => Number(digest.at(-1)));
  assert.deepEqual(order(), [1, 2, 3, 4]);
  assert.deepEqual(order(30, 50), [1, 2, 4, 3, 3, 5]);
  assert.deepEqual(order(10), [1, 4, 1, 2, 3]);
});
