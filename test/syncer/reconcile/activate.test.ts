import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Confirmation } from '../../../services/syncer/link/terrace/activation.ts';
import type { ActivateDeps } from '../../../services/syncer/reconcile/activate.ts';
import { activate } from '../../../services/syncer/reconcile/activate.ts';
import type { PassRequest } from '../../../services/syncer/reconcile/context/pass-request.ts';

/** Which passes request a confirmation of the activation, and how old an earlier one may be. */

const instance = randomUUID();
const scope = new Map([['app', new Set(['v1'])]]);
type Situation = { child?: string | undefined; tried?: boolean; followed?: boolean; terrace?: boolean };

async function requestedConfirmation(
  passRequest: Omit<PassRequest, 'id'>,
  hasFeed: boolean,
  { child = 'line-1', tried = false, followed = false, terrace = false }: Situation = {},
): Promise<Confirmation | undefined> {
  let requested: Confirmation | undefined;
  const deps = {
    bus: { call: async () => ({ instance }) },
    activation: {
      child: child || undefined,
      tried,
      confirm: async (confirmation: Confirmation) => {
        requested = confirmation;
      },
    },
    feed: { changes: async () => (terrace ? {} : undefined) },
    changeCursor: { followed },
    signal: new AbortController().signal,
  } as unknown as ActivateDeps;
  await activate(deps, { id: 'pass', ...passRequest }, hasFeed);
  return requested;
}

const confirmation = (withinMs: number, skipBackoff = false) => ({
  identity: { instance },
  withinMs,
  skipBackoff,
});
const rows: [string, Omit<PassRequest, 'id'>, boolean, Situation, Confirmation | undefined][] = [
  [
    'a scheduled pass below a Terrace requests a confirmation',
    { cause: 'schedule' },
    true,
    {},
    confirmation(0),
  ],
  [
    'a pass after changes at the parent requests a confirmation while the feed is followed',
    { cause: 'parent' },
    true,
    { followed: true },
    confirmation(0),
  ],
  [
    'a scheduled pass accepts a confirmation of the last five minutes while the feed is followed',
    { cause: 'schedule' },
    true,
    { followed: true },
    confirmation(300_000),
  ],
  [
    'a requested full pass skips the backoff',
    { cause: 'request', full: true },
    true,
    { followed: true, tried: true },
    confirmation(0, true),
  ],
  [
    'a pass after a change of the configuration skips the backoff',
    { cause: 'configuration' },
    true,
    {},
    confirmation(0, true),
  ],
  [
    'a scheduled pass below another registry requests no confirmation',
    { cause: 'schedule' },
    false,
    { terrace: true },
    undefined,
  ],
  [
    'a confirmation is requested from a parent that was a Terrace before, even without a feed',
    { cause: 'schedule' },
    false,
    { tried: true },
    confirmation(0),
  ],
  [
    'a scoped pass accepts a confirmation of the last minute',
    { cause: 'change', scope },
    false,
    { tried: true },
    confirmation(60_000),
  ],
  [
    'a scoped pass before any other detects a Terrace, and accepts a confirmation of the last minute',
    { cause: 'change', scope },
    false,
    { terrace: true },
    confirmation(60_000),
  ],
  [
    'a scoped pass below another registry requests no confirmation',
    { cause: 'change', scope },
    false,
    {},
    undefined,
  ],
  [
    'a layer without a child name requests no confirmation',
    { cause: 'schedule' },
    true,
    { child: '', tried: true },
    undefined,
  ],
];
for (const [title, passRequest, hasFeed, situation, expected] of rows) {
  test(title, async () =>
    assert.deepEqual(await requestedConfirmation(passRequest, hasFeed, situation), expected),
  );
}
