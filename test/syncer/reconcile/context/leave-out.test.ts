import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault, type FaultCode } from '#proto/contract/fault.ts';
import { FailedParts } from '../../../../services/syncer/reconcile/context/leave-out.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const fault = (code: FaultCode, status?: number) =>
  new Fault(code, 'message', status === undefined ? {} : { detail: { status } });

/** After how many passes an entry of an index is left out because of a fault; `never`: within ten. */
const rows: [string, unknown, number | 'never'][] = [
  ['the manifest is missing', fault('manifest-unknown'), 1],
  ['the blob is missing', fault('blob-unknown'), 1],
  ['the manifest is not supported', fault('manifest-invalid'), 1],
  ['the content is not that of its digest', fault('parent-invalid'), 1],
  ['the parent refuses it for good', fault('parent-refused', 410), 1],
  ['the login may not read it', fault('parent-refused', 401), 3],
  ['the parent denies it', fault('parent-refused', 403), 3],
  ['the parent fails', fault('parent-unreachable', 500), 3],
  ['a proxy fails', fault('parent-unreachable', 502), 3],
  ['a proxy has no answer of the parent', fault('parent-unreachable', 522), 3],
  ['the parent did not get the request in time', fault('parent-unreachable', 408), 3],
  ['the parent does not answer', fault('parent-unreachable'), 'never'],
  ['the parent limits requests', fault('busy', 429), 'never'],
  ['the image exceeds its limits', fault('too-large'), 'never'],
  ['the window closes', fault('window-closed'), 'never'],
  ['the volume is full', fault('no-space'), 'never'],
  ['an error of this layer', new Error('x'), 'never'],
];
for (const [name, error, expected] of rows) {
  test(`an entry of an index is left out after ${expected} passes: ${name}`, () => {
    const failed = new FailedParts();
    let passes: number | 'never' = 'never';
    for (let pass = 1; pass <= 10 && passes === 'never'; pass += 1) {
      // Both indexes that name the entry ask within one pass.
      const first = failed.isLeftOut(digest, error, `pass-${pass}`);
      assert.equal(failed.isLeftOut(digest, error, `pass-${pass}`), first);
      if (first) passes = pass;
    }
    assert.equal(passes, expected);
  });
}
