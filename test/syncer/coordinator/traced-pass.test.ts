import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tracer } from '#proto/tracing/tracer.ts';
import { tracedPass } from '../../../services/syncer/coordinator/traced-pass.ts';
import type { PassContext } from '../../../services/syncer/reconcile/context/pass-context.ts';
import { mergeRequests, type PassRequest } from '../../../services/syncer/reconcile/context/pass-request.ts';
import { emptyResult } from '../../../services/syncer/reconcile/context/pass-stats.ts';
import { tracedChange } from '../../../services/syncer/reconcile/push/traced-change.ts';
import { testTracer } from '../../support/spans.ts';

const ids = { one: '1'.repeat(32), two: '2'.repeat(32), old: '3'.repeat(32) };
const traceparent = (trace: keyof typeof ids, span = 'a') => `00-${ids[trace]}-${span.repeat(16)}-01`;

const requestOf = (traces: Record<string, string>): PassRequest => ({
  id: 'pass-1',
  cause: 'change',
  scope: new Map(),
  traces: new Map(Object.entries(traces)),
});

/** Pushes each change in one pass, of which `old` has waited since last week. */
async function pass(request: PassRequest, tags: string[]): Promise<void> {
  await tracedPass(request, async () => {
    const unsentChanges = {
      traceparentOf: (_name: string, digest: string) =>
        digest === 'sha256:old' ? traceparent('old') : undefined,
    };
    const context = { pass: request.id, passRequest: request, unsentChanges } as unknown as PassContext;
    for (const tag of tags) {
      const change = { repository: 'app', reference: tag, digest: `sha256:${tag}` as const };
      await tracedChange(context, change, async () => 'sent');
    }
    return { ...emptyResult(request), sent: tags.length };
  });
}

test('changes of one trace are pushed in it, and so is their pass', async (t) => {
  const { ended } = testTracer(t);
  const request = requestOf({ 'app!1': traceparent('one'), 'app!2': traceparent('one', 'b') });
  await pass(request, ['1', '2']);
  const [first, second, passSpan] = await ended();
  assert.deepEqual(
    [first, second, passSpan].map((span) => span?.trace),
    [ids.one, ids.one, ids.one],
  );
  assert.equal(passSpan?.parent, 'a'.repeat(16));
  assert.deepEqual([first?.parent, second?.parent], [passSpan?.span, passSpan?.span]);
  assert.deepEqual(passSpan?.links, []);
});

test('changes of several traces are pushed each in its own, with links from and to the pass', async (t) => {
  const { ended } = testTracer(t);
  const one = requestOf({ 'app!1': traceparent('one') });
  await pass(mergeRequests(one, requestOf({ 'app!2': traceparent('two') })), ['1', '2']);
  const [first, second, passSpan] = await ended();
  assert.deepEqual([first?.trace, second?.trace], [ids.one, ids.two]);
  assert.equal(passSpan?.parent, undefined);
  assert.deepEqual(passSpan?.links, [ids.one, ids.two]);
  assert.deepEqual([first?.links, second?.links], [[passSpan?.trace], [passSpan?.trace]]);
});

test('a change that waited is pushed in the trace of the pass, with a link to what made it', async (t) => {
  const { ended } = testTracer(t);
  await pass({ id: 'pass-1', cause: 'schedule' }, ['old', 'unknown']);
  const [old, unknown, passSpan] = await ended();
  assert.deepEqual([old?.parent, unknown?.parent], [passSpan?.span, passSpan?.span]);
  assert.deepEqual([old?.links, unknown?.links], [[ids.old], []]);
});

test('a pass that fails has the code of its first failure', async (t) => {
  const { ended } = testTracer(t);
  const request = requestOf({});
  const failures = [{ code: 'parent-refused', reason: 'the parent answered 403 with a secret' }];
  await tracedPass(request, async () => ({ ...emptyResult(request), failed: 1, failures }));
  const [span] = await ended();
  assert.equal(span?.failed, 'parent-refused');
  assert.doesNotMatch(JSON.stringify(span), /secret/);
});

test('without a tracer, a pass is made as it is', async () => {
  assert.equal(tracer, undefined);
  await pass(requestOf({ 'app!1': traceparent('one') }), ['1']);
});
