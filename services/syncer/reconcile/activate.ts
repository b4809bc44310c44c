import { layerInstance } from '#proto/accounts/children.ts';
import type { ParentActivation } from '../link/terrace/activation.ts';
import type { ChangeSource } from '../link/terrace/parent-feed.ts';
import type { PassTools } from './context/pass-context.ts';
import type { PassRequest } from './context/pass-request.ts';
import type { ChangeCursor } from './observe/change-cursor.ts';

export type ActivateDeps = Pick<PassTools, 'bus' | 'log' | 'signal'> & {
  activation: ParentActivation;
  feed: ChangeSource;
  changeCursor: Pick<ChangeCursor, 'followed'>;
};

/** Max age of the last confirmation for a scoped pass, in ms: changes by clients are pushed without a new request. */
const MAX_SCOPED_AGE_MS = 60_000;
/** The same for a routine pass while the change feed is followed, in ms: the parent still gets a sign of life. */
const MAX_FOLLOWED_AGE_MS = 5 * 60_000;

/** Causes for which the parent is not asked while its change feed is followed. */
export const ROUTINE = new Set(['schedule', 'retry']);

/**
 * Confirms that this instance of the layer is the one that is activated at the parent. Runs before the pass uses the
 * parent's content.
 * @param hasFeed the parent answered as a Terrace
 * @throws Fault `already-activated`, `parent-unreachable`, …
 */
export async function activate(
  deps: ActivateDeps,
  passRequest: PassRequest,
  hasFeed: boolean,
): Promise<void> {
  const { bus, log, activation, feed, changeCursor, signal } = deps;
  const { scope, cause, full, now } = passRequest;
  if (!activation.child) return;
  // A parent that was a Terrace once is asked even while its feed does not answer.
  const isTerrace =
    hasFeed || activation.tried || (scope && (await feed.changes(undefined, 0, signal)) !== undefined);
  if (!isTerrace) return;
  const isRoutine = ROUTINE.has(cause);
  const withinMs = scope ? MAX_SCOPED_AGE_MS : isRoutine && changeCursor.followed ? MAX_FOLLOWED_AGE_MS : 0;
  // A requested pass does not wait for the backoff.
  const skipBackoff =
    !scope && (cause === 'request' || cause === 'configuration' || full === true || now === true);
  const identity = await bus.call(layerInstance, {}, { signal });
  await activation.confirm({ identity, withinMs, skipBackoff }, log, signal);
}
