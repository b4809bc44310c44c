import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deleteManifest } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { PassContext } from '../../../../services/syncer/reconcile/context/pass-context.ts';
import { pruneReferrers } from '../../../../services/syncer/reconcile/pull/prune-referrers.ts';
import { digestOf } from '../../../support/registry/content.ts';

const [listed, deleted, moved, unanswered, tagged] = [
  'listed',
  'deleted',
  'moved',
  'unanswered',
  'tagged',
].map(digestOf) as [string, string, string, string, string];

type Listed = { digest: string };

/** A layer that has all of them, and what its parent answers. */
async function pruned(
  list: { manifests: Listed[]; malformed: number; leftOut: Listed[] } | Fault | undefined,
) {
  const dropped: string[] = [];
  const parent = {
    referrers: async () => {
      if (list instanceof Fault) throw list;
      return list;
    },
    resolve: async (_: string, digest: string) => {
      if (digest === unanswered) throw new Fault('parent-refused', 'HEAD: 403', { detail: { status: 403 } });
      return digest === moved ? digest : undefined;
    },
  };
  const bus = {
    call: async (contract: unknown, { digest }: { digest: string }) => {
      assert.equal(contract, deleteManifest);
      dropped.push(digest);
    },
  };
  const context = { bus, parent, signal: new AbortController().signal } as unknown as PassContext;
  const agreed = [listed, unanswered, deleted, moved, tagged];
  const count = await pruneReferrers(context, 'app', digestOf('image'), agreed, new Set([tagged]));
  assert.equal(count, dropped.length);
  return dropped;
}

test('a referrer is deleted if it is neither listed nor there; one about which the parent does not answer stays', async () => {
  const list = { manifests: [{ digest: listed }], malformed: 1, leftOut: [] };
  assert.deepEqual(await pruned(list), [deleted]);
});

test('a referrer that the parent says it lacks is not deleted', async () => {
  const list = { manifests: [{ digest: listed }], malformed: 0, leftOut: [{ digest: deleted }] };
  assert.deepEqual(await pruned(list), []);
});

test('a list that is missing, or that can not be read, deletes nothing', async () => {
  assert.deepEqual(await pruned(undefined), []);
  assert.deepEqual(await pruned(new Fault('parent-invalid', 'no list')), []);
});
