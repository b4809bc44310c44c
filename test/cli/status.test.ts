import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StorageStatus } from '#proto/manifests.ts';
import { describe } from '../../cli/status.ts';

const now = Date.UTC(2030, 0, 1);
const held: StorageStatus = {
  repositories: 1,
  tags: 2,
  blobs: 3,
  bytes: 4_000_000,
  tokens: 0,
  scopeMaps: 0,
  damaged: 0,
  outgoing: { unsent: 0, withdrawn: 0, parked: 0 },
  space: { free: 2e9, reserve: 512 * 2 ** 20, low: false },
  ingests: [],
};
const said = (more: Partial<StorageStatus>) =>
  describe({ services: [], silent: [], storage: { ...held, ...more } }, now);

test('what storage holds, what is free, and whether anybody must log in', () => {
  const text = said({});
  assert.match(text, /^Holds 1 repository, 2 tags, 3 blobs, 4\.0 MB; 0 ingests under way$/m);
  assert.match(text, /^Free: 2\.0 GB; reserve 537 MB$/m);
  assert.match(text, /^No accounts: whoever reaches it may do everything$/m);
  assert.doesNotMatch(text, /Damaged|TOO LITTLE/);
  assert.match(said({ tokens: 2 }), /^Clients log in: 2 tokens$/m);
});

test('too little space and damaged content are told', () => {
  assert.match(
    said({ space: { free: 5e6, reserve: 1e9, low: true } }),
    /^Free: 5\.0 MB; reserve 1\.0 GB\. TOO LITTLE: nothing new is taken until space is freed$/m,
  );
  assert.match(said({ damaged: 1 }), /^Damaged: 1 blob, until the parent or a client brings them again$/m);
});
