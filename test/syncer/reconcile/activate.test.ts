import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Confirmation } from '../../../services/syncer/link/parent/activation.ts';
import type { ActivateDeps } from '../../../services/syncer/reconcile/activate.ts';
import { activate } from '../../../services/syncer/reconcile/activate.ts';
import type { PassRequest } from '../../../services/syncer/reconcile/context/pass-request.ts';

/** Which passes ask for the place of the layer, and how old an answer may be. */

const instance = randomUUID();
const scope = new Map([['app', new Set(['v1'])]]);
type Situation = { child?: string | undefined; tried?: boolean; followed?: boolean; terrace?: boolean };

async function asked(
  passRequest: Omit<PassRequest, 'id'>,
  tells: boolean,
  { child = 'line-1', tried = false, followed = false, terrace = false }: Situation = {},
): Promise<Confirmation | undefined> {
  let found: Confirmation | undefined;
  const deps = {
    bus: { call: async () => ({ instance }) },
    activation: {
      child: child || undefined,
      tried,
      confirm: async (confirmation: Confirmation) => {
        found = confirmation;
      },
    },
    feed: { changes: async () => (terrace ? {} : undefined) },
    changeCursor: { followed },
    signal: new AbortController().signal,
  } as unknown as ActivateDeps;
  await activate(deps, { id: 'pass', ...passRequest }, tells);
  return found;
}

const confirmation = (withinMs: number, skipBackoff = false) => ({
  identity: { instance },
  withinMs,
  skipBackoff,
});
const rows: [string, Omit<PassRequest, 'id'>, boolean, Situation, Confirmation | undefined][] = [
  ['below a Terrace, a pass asks', { cause: 'schedule' }, true, {}, confirmation(0)],
  ['so does one after news', { cause: 'parent' }, true, { followed: true }, confirmation(0)],
  [
    'while the parent tells by itself, a pass by the clock asks now and then',
    { cause: 'schedule' },
    true,
    { followed: true },
    confirmation(300_000),
  ],
  [
    'somebody asks',
    { cause: 'request', full: true },
    true,
    { followed: true, tried: true },
    confirmation(0, true),
  ],
  ['a new configuration', { cause: 'configuration' }, true, {}, confirmation(0, true)],
  ['no Terrace', { cause: 'schedule' }, false, { terrace: true }, undefined],
  ['a Terrace that says so no more', { cause: 'schedule' }, false, { tried: true }, confirmation(0)],
  ['what a client changed', { cause: 'change', scope }, false, { tried: true }, confirmation(60_000)],
  [
    'what a client changed before the first pass',
    { cause: 'change', scope },
    false,
    { terrace: true },
    confirmation(60_000),
  ],
  ['what a client changed below another registry', { cause: 'change', scope }, false, {}, undefined],
  ['no child', { cause: 'schedule' }, true, { child: '', tried: true }, undefined],
];
for (const [title, passRequest, tells, situation, want] of rows) {
  test(title, async () => assert.deepEqual(await asked(passRequest, tells, situation), want));
}
