import { layerInstance } from '#proto/accounts/children.ts';
import type { Activation } from '../link/parent/activation.ts';
import type { ParentFeed } from '../link/parent/feed.ts';
import type { PassTools } from './context/pass-context.ts';
import type { PassRequest } from './context/pass-request.ts';
import type { ChangeCursor } from './observe/news.ts';

/** What it works with: the client of the parent, and what is known of it. */
export type ActivateDeps = Pick<PassTools, 'bus' | 'log' | 'signal'> & {
  activation: Activation;
  feed: Pick<ParentFeed, 'changes'>;
  changeCursor: Pick<ChangeCursor, 'followed'>;
};

/** A change of a client goes up without asking before, where the last answer is not older, in ms. */
const SCOPED_MS = 60_000;
/** The same where the parent is asked for nothing, as it would tell by itself: it hears of this layer now and then. */
const QUIET_MS = 5 * 60_000;

/** Causes that need no answer of the parent's while it would tell of a change by itself. */
export const ROUTINE = new Set(['schedule', 'retry']);

/**
 * Before anything is done with what the parent has: this instance of the layer must be the one that is activated there.
 * @param tells the parent was found to be a Terrace
 * @throws Fault `already-activated`, `parent-unreachable`, …
 */
export async function activate(deps: ActivateDeps, passRequest: PassRequest, tells: boolean): Promise<void> {
  const { bus, log, activation, feed, changeCursor, signal } = deps;
  const { scope, cause, full, now } = passRequest;
  if (!activation.child) return;
  // A parent that was one is asked also while it does not say so.
  const isTerrace =
    tells || activation.tried || (scope && (await feed.changes(undefined, 0, signal)) !== undefined);
  if (!isTerrace) return;
  const routine = ROUTINE.has(cause);
  const withinMs = scope ? SCOPED_MS : routine && changeCursor.followed ? QUIET_MS : 0;
  // What somebody asked for is tried at once.
  const eager = !scope && (cause === 'request' || cause === 'configuration' || full === true || now === true);
  const identity = await bus.call(layerInstance, {}, { signal });
  await activation.confirm({ identity, withinMs, eager }, log, signal);
}
