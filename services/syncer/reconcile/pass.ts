import { createHash } from 'node:crypto';
import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import { recordParent } from '#proto/sync/outgoing.ts';
import { MAX_PATTERNS, type PassResult } from '#proto/sync/passes.ts';
import type { AcrMetadata } from '../link/parent/acr-metadata.ts';
import type { Activation } from '../link/parent/activation.ts';
import type { ParentFeed } from '../link/parent/feed.ts';
import type { ParentReader } from '../link/parent/parent.ts';
import { activate, ROUTINE } from './activate.ts';
import { Arrivals } from './context/arrivals.ts';
import { UnsentChanges } from './context/outgoing.ts';
import { Oversized } from './context/oversized.ts';
import type { Look } from './context/parent-changes.ts';
import { Parking } from './context/parking.ts';
import type { PassContext, PassTools } from './context/pass-context.ts';
import type { PassRequest } from './context/pass-request.ts';
import { PassStats } from './context/tally.ts';
import type { AcrChangeScan } from './observe/acr-news.ts';
import { compare } from './observe/compare.ts';
import type { ChangeCursor } from './observe/news.ts';
import { clean, repositories } from './observe/repositories.ts';
import { bringImages } from './pull/images.ts';
import { pullQueue, unparkObsolete } from './pull/pull-queue.ts';
import { repair } from './pull/repair.ts';
import { note, tellParent } from './push/changes.ts';
import { matchedPatterns, unmatchedPatterns } from './select/unmatched.ts';

/** `acr` is undefined where the parent is no Azure Container Registry. */
export type PassDeps = PassTools & {
  feed: Pick<ParentFeed, 'changes' | 'repaired'>;
  activation: Activation;
  changeCursor: ChangeCursor;
  acr: AcrMetadata | undefined;
  acrChanges: AcrChangeScan;
};

/**
 * What each parent said that it left out itself: asked for again by a full pass, or by the next coordinator. All else
 * is found anew in each pass.
 */
const skippedBy = new WeakMap<ParentReader, Set<Digest>>();
const MAX_SKIPPED = 100_000;
const oversizedBy = new WeakMap<ParentReader, Oversized>();

/**
 * One pass: compares parent and layer, then does what the plan says, each tag by itself, so that one that fails keeps
 * no other back. What comes and what goes up share the link, each in its own order.
 * @throws the signal's reason where it ended the pass for another cause than the window or the configuration
 */
export async function makePass(deps: PassDeps, passRequest: PassRequest): Promise<PassResult> {
  const { bus, log, signal, configuration } = deps;
  const { id: pass, cause, scope } = passRequest;
  const stats = new PassStats(log);
  const { answers } = deps.parent;
  let look: Look | undefined;
  const isHeard = () => look?.answered === true || deps.parent.answers > answers;
  try {
    look = await lookAt(deps, passRequest);
    // A pass is good only if the parent has answered since it began.
    if (!look || !isHeard()) await deps.parent.ping(signal);
    await activate(deps, passRequest, look !== undefined);
    await meet(deps);
    const parentChanges = look?.parentChanges;
    using arrivals = new Arrivals(bus, log, pass, signal, deps.until);
    const up = configuration.mode === 'ReadWrite';
    using unsentChanges = up ? await UnsentChanges.load(bus, signal) : UnsentChanges.none();
    const again = passRequest.full === true || cause === 'configuration';
    const parking = await Parking.load(bus, signal, again);
    const skippedByParent = (!passRequest.full && skippedBy.get(deps.parent)) || new Set<Digest>();
    skippedBy.set(deps.parent, skippedByParent);
    if (skippedByParent.size > MAX_SKIPPED) skippedByParent.clear();
    const oversized = (!again && oversizedBy.get(deps.parent)) || new Oversized();
    oversizedBy.set(deps.parent, oversized);
    // The parent may have got what it had left out.
    if (parentChanges && [...parentChanges.values()].some(({ around }) => around.size > 0))
      skippedByParent.clear();
    const shared = {
      arrivals,
      unsentChanges,
      parking,
      skippedByParent,
      oversized,
      stats,
      deletions: new KeyedLock(),
    };
    const context: PassContext = { ...deps, passRequest, parentChanges, pass, ...shared };
    const { covered, uncovered } = await repositories(context);
    const everything = !scope && !parentChanges;
    const repairing = scope ? undefined : repairs(context);
    const surveys = await compare(context, covered);
    const patterns = configuration.repositories.map(({ name }) => name);
    stats.selections = everything
      ? { unmatched: unmatchedPatterns(patterns, surveys, stats.failures).slice(0, MAX_PATTERNS) }
      : { matched: matchedPatterns(patterns, surveys).slice(0, MAX_PATTERNS) };
    if (everything) await unparkObsolete(context, surveys, covered);
    if (everything && !up) await clean(context, uncovered);
    for (const found of surveys) await note(context, found);
    await Promise.all([
      bringImages(context, await pullQueue(context, surveys)),
      up ? tellParent(context, surveys) : undefined,
      repairing,
    ]);
  } catch (error) {
    const ended = endedBy(signal);
    if (ended) {
      await settle(deps, look, false);
      return { ...stats.result(pass, ended), ...(!isHeard() && { unheard: true }) };
    }
    signal.throwIfAborted();
    stats.fail({}, error);
  }
  const result = stats.result(pass);
  await settle(deps, look, result.failed === 0 && !result.ended);
  return result;
}

/** Causes for which the parent's word is not enough. */
const EVERYTHING = new Set(['configuration', 'damage', 'space']);

async function lookAt(
  { feed, changeCursor, acr, acrChanges, parent: client, configuration, signal }: PassDeps,
  { scope, full, cause }: PassRequest,
): Promise<Look | undefined> {
  if (scope) return undefined;
  const { parent, repositories: selected, mode } = configuration;
  const of = createHash('sha256')
    .update(
      JSON.stringify([
        parent?.url,
        parent?.username,
        selected,
        mode,
        ...(parent?.azure ? [parent.azure] : []),
      ]),
    )
    .digest('hex');
  const everything = full === true || EVERYTHING.has(cause);
  if (acr)
    return acrChanges.look({ acr, parent: client, repositories: selected, signal }, { of, everything });
  return changeCursor.look(feed, { of, everything, asks: !ROUTINE.has(cause) }, signal);
}

/** Where it can't be noted how far both agree, the next pass looks at the same again. */
async function settle({ log }: PassDeps, look: Look | undefined, good: boolean): Promise<void> {
  await look?.settle(good).catch((err) => log.warn({ err }, 'the place in the changes was not kept'));
}

/** A registry that a ReadWrite layer has not met has taken away nothing of what it does not have. */
async function meet({ bus, configuration, feed, log, signal }: PassDeps): Promise<void> {
  const { parent, mode } = configuration;
  if (!parent) return;
  const { host } = new URL(parent.url);
  const forget = mode === 'ReadWrite';
  const { repaired } = feed;
  const met = { parent: host, forget, ...(repaired !== undefined && { repaired }) };
  const { forgotten } = await bus.call(recordParent, met, { signal });
  const why = 'the parent is another one, or was repaired: all that is here is compared anew';
  if (forgotten) log.warn({ parent: host }, why);
}

/** Why a pass was ended from outside, where that is part of its result. */
function endedBy({ aborted, reason }: AbortSignal): PassResult['ended'] {
  if (!aborted) return undefined;
  if (Fault.is(reason, 'window-closed')) return 'window';
  return reason instanceof Fault && reason.detail?.cause === 'configuration' ? 'configuration' : undefined;
}

/** Beside everything else: damaged content that is large keeps nothing back. */
async function repairs(context: PassContext): Promise<void> {
  const { log, signal, pass, stats } = context;
  try {
    const repaired = await repair(context, (where, error) => stats.fail(where, error));
    if (repaired > 0) log.info({ pass, repaired }, 'damaged content is whole again');
  } catch (error) {
    if (!signal.aborted) stats.fail({}, error);
  }
}
