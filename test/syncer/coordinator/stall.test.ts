import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { EventListener } from '#proto/bus/roles.ts';
import { transferDelayed, transferProgressed } from '#proto/sync/transfers.ts';
import { STALL_MS, Stall } from '../../../services/syncer/coordinator/stall.ts';

type Listener = (event: { data: object }) => void;

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

/** A stall whose events are published by hand, and what it reports. */
function watched() {
  const listeners = new Map<object, Listener>();
  const listen = (event: object, listener: Listener) => {
    listeners.set(event, listener);
    return () => listeners.delete(event);
  };
  const reports: (string | undefined)[] = [];
  const stall = new Stall({ listen } as unknown as EventListener, (reason) => reports.push(reason));
  const publish = (event: object, data: object) => listeners.get(event)?.({ data });
  return { stall, reports, publish };
}

const unanswered = { code: 'parent-unreachable', reason: 'GET /v2/app/blobs: no answer within 20 s' };

test('a parent that answers nobody is reported, until there is progress', () => {
  const { stall, reports, publish } = watched();
  publish(transferDelayed, unanswered);
  mock.timers.tick(STALL_MS);
  assert.deepEqual(reports, [unanswered.reason]);
  publish(transferProgressed, {});
  assert.deepEqual(reports, [unanswered.reason, undefined]);
  stall[Symbol.dispose]();
});

test('a parent that answers others, and not yet for this blob, is not reported as unreachable', () => {
  const { stall, reports, publish } = watched();
  publish(transferDelayed, { ...unanswered, slow: true });
  mock.timers.tick(10 * STALL_MS);
  assert.deepEqual(reports, []);
  publish(transferDelayed, unanswered);
  mock.timers.tick(STALL_MS);
  assert.deepEqual(reports, [unanswered.reason]);
  stall[Symbol.dispose]();
});
