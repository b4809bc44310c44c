import type { PassResult } from '#proto/sync/passes.ts';

/** Results of passes, and failures in them. */

export const NOTHING: PassResult = {
  ...{ pass: 'p', ok: true, taken: 0, dropped: 0, sent: 0, withdrawn: 0, failed: 0, parked: 0 },
  ...{ failures: [], ms: 1 },
};
export const unreachable = { code: 'parent-unreachable', reason: 'GET /v2/: ECONNREFUSED' };
export const refused = {
  repository: 'app',
  tag: 'v1',
  code: 'parent-refused',
  reason: 'the parent answered 403',
};
export const failing = (...failures: PassResult['failures']): PassResult => ({
  ...NOTHING,
  ok: false,
  failed: failures.length,
  failures,
});
