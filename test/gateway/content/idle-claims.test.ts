import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_IDLE_CLAIM_MS } from '#proto/content/ingests.ts';
import { IdleClaims } from '../../../services/gateway/content/idle-claims.ts';

const claimOf = (id: string) => ({ id, claim: 'token', path: `ingest/${id}`, offset: 7 });

test('a claim is taken once, in its own repository, until it is too old', () => {
  const claims = new IdleClaims();
  const idle = { claim: claimOf('a'), renewedAt: 1_000 };
  claims.put('app', idle);
  equal(claims.take('other', 'a', 1_000), undefined);
  deepEqual(claims.take('app', 'a', 1_000 + MAX_IDLE_CLAIM_MS)?.claim, idle.claim);
  equal(claims.take('app', 'a', 1_000), undefined);
  claims.put('app', idle);
  equal(claims.take('app', 'a', 1_001 + MAX_IDLE_CLAIM_MS), undefined);
  equal(claims.size, 0);
});

test('the number of claims is bounded: the oldest are dropped', () => {
  const claims = new IdleClaims();
  for (let i = 0; i < 1_500; i += 1) claims.put('app', { claim: claimOf(`${i}`), renewedAt: 0 });
  equal(claims.size, 1_000);
  equal(claims.take('app', '499', 0), undefined);
  equal(claims.take('app', '500', 0)?.claim.id, '500');
  claims.put('app', { claim: claimOf('501'), renewedAt: 0 });
  claims.put('app', { claim: claimOf('new'), renewedAt: 0 });
  claims.put('app', { claim: claimOf('newer'), renewedAt: 0 });
  equal(claims.take('app', '502', 0), undefined);
  equal(claims.take('app', '501', 0)?.claim.id, '501');
});
