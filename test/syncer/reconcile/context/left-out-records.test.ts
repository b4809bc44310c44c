import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type LeftOutRecord,
  listRecorded,
  MAX_RECORDED,
  MAX_RECORDED_REASON,
} from '#proto/content/left-out-referrers.ts';
import type { LeftOutItem } from '#proto/sync/left-out.ts';
import type { FencedBus } from '../../../../services/syncer/leadership/fenced-bus.ts';
import { LeftOutRecords } from '../../../../services/syncer/reconcile/context/left-out-records.ts';

const [A, B] = ['a', 'b'].map((letter) => `sha256:${letter.repeat(64)}`) as [string, string];
const { signal } = new AbortController();

/** Stand-in for storage: records in memory. */
class MemoryStorage {
  readonly records = new Map<string, LeftOutRecord & { repository: string; subject: string }>();
  readonly calls: string[] = [];
  readonly bus = {
    call: async (contract: unknown, query: LeftOutRecord & { repository: string; subject: string }) => {
      this.calls.push(contract === listRecorded ? 'list' : `record ${query.subject}`);
      if (contract === listRecorded) return { records: [...this.records.values()], more: false };
      const key = `${query.repository}!${query.subject}`;
      if (query.count > 0) this.records.set(key, query);
      else this.records.delete(key);
      return {};
    },
  } as unknown as FencedBus;

  /** What a pass calls. */
  async pass(make: (records: LeftOutRecords) => Promise<void>): Promise<string[]> {
    this.calls.length = 0;
    await make(new LeftOutRecords(this.bus, signal));
    return [...this.calls];
  }
}

const item = (digest: string, subject = A, more: Partial<LeftOutItem> = {}): LeftOutItem => ({
  kind: 'referrer',
  digest,
  subject,
  code: 'manifest-unknown',
  reason: 'none',
  ...more,
});

test('records are read once in a pass, and only differences are written', async () => {
  const storage = new MemoryStorage();
  const clean = () => storage.pass((records) => records.replace('app', [A, B], []));
  assert.deepEqual(await clean(), ['list']);
  const lacking = (...items: LeftOutItem[]) =>
    storage.pass(async (records) => {
      await records.replace('app', [A, B], items);
      await records.replace('app', [A], items);
    });
  assert.deepEqual(await lacking(item(A), item(B)), ['list', `record ${A}`]);
  assert.deepEqual(await lacking(item(B), item(A)), ['list'], 'in another order');
  assert.deepEqual(await lacking(item(A, A, { reason: 'in other words' }), item(B)), ['list']);
  assert.deepEqual(await lacking(item(A, A, { code: 'parent-refused' }), item(B)), ['list', `record ${A}`]);
  assert.deepEqual(await clean(), ['list', `record ${A}`]);
  assert.equal(storage.records.size, 0);
  assert.deepEqual(await storage.pass(async () => {}), [], 'a pass without images reads nothing');
});

test('a pass that compares all of a repository deletes the records that it has not confirmed', async () => {
  const storage = new MemoryStorage();
  await storage.pass(async (records) => {
    await records.replace('app', [A, B], [item(A, A), item(A, B)]);
    await records.replace('other', [A], [item(A)]);
  });
  await storage.pass(async (records) => {
    await records.replace('app', [B], [item(A, B)]);
    await records.dropUnconfirmed('app');
  });
  assert.deepEqual([...storage.records.keys()], [`app!${B}`, `other!${A}`]);
});

test('a record has a bound, and no other kinds than referrers', async () => {
  const storage = new MemoryStorage();
  const many = Array.from({ length: 500 }, (_, n) => item(`sha256:${String(n).padStart(64, '0')}`));
  const others: LeftOutItem[] = [item(B, A, { kind: 'child' }), item(B, A, { kind: 'tag' })];
  const long = item(A, B, { reason: 'x'.repeat(2_000) });
  await storage.pass((records) => records.replace('app', [A, B], [...many, ...others, long]));
  const [a, b] = [A, B].map((subject) => storage.records.get(`app!${subject}`));
  assert.deepEqual([a?.count, a?.first.length], [500, MAX_RECORDED]);
  assert.equal(b?.first[0]?.reason.length, MAX_RECORDED_REASON);
});
