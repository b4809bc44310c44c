import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BusCaller } from '#proto/bus/roles.ts';
import { getCursor } from '#proto/sync/changes.ts';
import { ChangeCursor } from '../../../../services/syncer/reconcile/observe/change-cursor.ts';

const call = async (contract: object) => (contract === getCursor ? { cursor: '1.a' } : {});
const bus = { call } as unknown as BusCaller;
const { signal } = new AbortController();
const options = { scopeHash: 'parent', full: false, mustAsk: true };

test('with an endless change feed, everything is compared until a pass succeeds', async () => {
  for (const changesOfEach of [0, 1_000]) {
    let requests = 0;
    const feed = {
      changes: async (after: string | undefined) => {
        requests += 1;
        if (after === undefined) return { cursor: 'end', lost: false, changes: [], more: false };
        const changes = Array.from({ length: changesOfEach }, (_, at) => ({
          repository: 'app',
          tag: `v${requests}-${at}`,
          digest: null,
        }));
        return { cursor: `${requests}.a`, lost: false, changes, more: true };
      },
    };
    const changeCursor = new ChangeCursor(bus);
    for (let round = 1; round <= 2; round += 1) {
      const view = await changeCursor.read(feed, options, signal);
      assert.ok(view);
      assert.equal(view.parentChanges, undefined);
      assert.ok(requests <= 1_002, `${requests} requests`);
      await view.finish({ good: round === 2 });
      assert.equal(changeCursor.cursor, round === 2 ? 'end' : undefined);
    }
  }
});
