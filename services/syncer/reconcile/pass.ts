import { KeyedLock } from '#proto/async/keyed-lock.ts';
import { Fault } from '#proto/contract/fault.ts';
import { comparisonScope } from '#proto/document/comparison-scope.ts';
import { isRepository } from '#proto/oci/names.ts';
import { renamesOf } from '#proto/oci/repository-names.ts';
import type { LeftOutSummary } from '#proto/sync/left-out.ts';
import { recordParent } from '#proto/sync/outgoing.ts';
import { MAX_PATTERNS, type PassResult } from '#proto/sync/passes.ts';
import { identityOfParent } from '../link/answers/parent-path.ts';
import type { AcrMetadata } from '../link/parent/acr-metadata.ts';
import type { ParentActivation } from '../link/terrace/activation.ts';
import type { ChangeSource } from '../link/terrace/parent-feed.ts';
import { activate, ROUTINE } from './activate.ts';
import { recordAgreement } from './agree.ts';
import { BehindRecords } from './behind/behind-records.ts';
import { LeftOutRecords } from './context/left-out-records.ts';
import type { PassOutcome, ReportedChanges } from './context/parent-changes.ts';
import { Parking } from './context/parking.ts';
import type { PassCaches } from './context/pass-caches.ts';
import type { PassContext, PassTools } from './context/pass-context.ts';
import { PassPrefetch } from './context/pass-prefetch.ts';
import type { PassRequest } from './context/pass-request.ts';
import { PassStats } from './context/pass-stats.ts';
import { TransferJobs } from './context/transfer-jobs.ts';
import { UnsentChanges } from './context/unsent-changes.ts';
import { deleteRefused } from './delete-refused.ts';
import { deleteUnselected } from './delete-unselected.ts';
import type { AcrChangeScan } from './observe/acr-change-scan.ts';
import type { ChangeCursor } from './observe/change-cursor.ts';
import { compare } from './observe/compare.ts';
import { findRepositories } from './observe/repositories.ts';
import { noteHiddenReferrers } from './pull/hidden-referrers.ts';
import { pullImages } from './pull/images.ts';
import { noteLostTags } from './pull/lost-tags.ts';
import { buildPullQueue } from './pull/pull-queue.ts';
import { repairDamaged } from './pull/repair-damaged.ts';
import { pushChanges } from './push/push-changes.ts';
import { unparkObsolete } from './push/unpark-obsolete.ts';
import { exactNames } from './select/patterns.ts';
import { matchedPatterns, unmatchedPatterns } from './select/unmatched.ts';

/**
 * Reconciliation of a layer with its parent.
 *
 * A pass runs through the subfolders. `activate.ts` confirms that this instance may use the parent. `observe/` reads
 * the changes and compares both sides: one survey per repository, one action per tag, planned by
 * `proto/sync/plan-tag.ts`.
 * `select/` decides which repositories, tags, platforms and referrers the layer holds; in ReadOnly mode,
 * `delete-unselected.ts` deletes the content of the others, and `delete-refused.ts` what the parent withdrew.
 * `agree.ts` records agreement. `pull/` then brings images and referrers into the layer and repairs damaged content; in
 * ReadWrite mode, `push/` carries changes up in parallel. Both wait in `context/` for the transfer jobs of their blobs.
 * The pass ends with a `PassResult`; if it succeeded, the cursor of the parent's changes advances.
 */

/** `acr` is undefined if the parent is not an Azure Container Registry. */
export type PassDeps = PassTools & {
  feed: ChangeSource & { readonly repaired: string | undefined; readonly hasAnswered: boolean };
  activation: ParentActivation;
  changeCursor: ChangeCursor;
  acr: AcrMetadata | undefined;
  acrChanges: AcrChangeScan;
  caches: PassCaches;
  /** What is left out, as the last status of the link says. */
  lastLeftOut: LeftOutSummary | undefined;
};

/**
 * One pass: compares parent and layer, then carries out the plan, each tag separately, so that a failure does not block
 * the others. Pull and push share the link, each in its own order.
 * @throws the reason of `signal`, if it aborted for another cause than the window or the configuration
 */
export async function makePass(deps: PassDeps, passRequest: PassRequest): Promise<PassResult> {
  const { bus, log, signal, configuration } = deps;
  const { id: pass, cause, scope } = passRequest;
  const stats = new PassStats(log);
  const { answers: answersBefore } = deps.parent;
  const leftOut = deps.caches.content(deps.parent, deps.lastLeftOut);
  let reported: ReportedChanges | undefined;
  const hasAnswered = () => reported?.answered === true || deps.parent.answers > answersBefore;
  using sends = deps.caches.sends.observe();
  using prefetch = new PassPrefetch(deps.parent, signal, deps.caches.prefetchedTags(deps.parent));
  try {
    const patterns = configuration.repositories.map(({ name }) => name);
    const names = exactNames(patterns).filter(isRepository);
    const ping = () => deps.parent.ping(signal, names);
    // A parent that has never answered may be no Terrace: both are asked at a time.
    const probe = answersBefore > 0 || deps.feed.hasAnswered || scope ? undefined : ping();
    probe?.catch(() => {});
    if (await mustCompareAll(deps, passRequest)) prefetch.requestTags(names);
    reported = await findChanges(deps, passRequest, leftOut.isDue);
    // A pass succeeds only if the parent has answered since it began.
    if (!reported || !hasAnswered()) await (probe ?? ping());
    await activate(deps, passRequest, reported !== undefined);
    await checkParent(deps);
    const parentChanges = reported?.parentChanges;
    const up = configuration.mode === 'ReadWrite';
    using unsentChanges = up ? await UnsentChanges.load(bus, signal) : UnsentChanges.none();
    const isFull = passRequest.full === true;
    const retries = isFull || cause === 'configuration' ? 'all' : passRequest.retries;
    const isRetry = retries !== undefined;
    using transferJobs = new TransferJobs(bus, log, pass, signal, deps.until, isRetry);
    const isOfChanges = scope !== undefined && !isRetry;
    await using behind = await BehindRecords.load(bus, log, signal, isOfChanges);
    const parking = await Parking.load(bus, signal, retries);
    const leftOutByParent = deps.caches.leftOutByParent(deps.parent, isFull || isRetry);
    const oversized = deps.caches.oversized(deps.parent, isRetry);
    // The parent may now have children that it had left out.
    if (parentChanges && [...parentChanges.values()].some((changes) => changes && changes.around.size > 0))
      leftOutByParent.clear();
    if (isRetry) deps.parent.recheckReferrers();
    const everything = !scope && !parentChanges;
    leftOut.begin(everything);
    const refused = deps.caches.refused(deps.parent);
    const shared = {
      isBelowTerrace: deps.feed.hasAnswered,
      transferJobs,
      behind: behind.book,
      unsentChanges,
      sends,
      parking,
      leftOutByParent,
      oversized,
      failedParts: deps.caches.failedParts(deps.parent),
      leftOut,
      hiddenReferrers: new Map(),
      leftOutRecords: new LeftOutRecords(bus, signal),
      refused,
      stats,
      prefetch,
      deletions: new KeyedLock(),
    };
    const context: PassContext = { ...deps, passRequest, parentChanges, pass, ...shared };
    const { selected, unselected } = await findRepositories(context);
    const repairing = scope ? undefined : runRepair(context);
    const surveys = await compare(context, selected);
    if (everything) behind.book.retain(new Set(selected));
    stats.selections = everything
      ? { unmatched: unmatchedPatterns(patterns, surveys, stats.failures).slice(0, MAX_PATTERNS) }
      : { matched: matchedPatterns(patterns, surveys).slice(0, MAX_PATTERNS) };
    if (everything) await unparkObsolete(context, surveys, selected);
    if (everything && !up) await deleteUnselected(context, unselected);
    const due = scope ? [] : refused.endComparison();
    if (!up && deps.acr) await deleteRefused(context, refused, due);
    for (const survey of surveys) await recordAgreement(context, survey);
    await Promise.all([
      pullImages(context, await buildPullQueue(context, surveys)),
      up ? pushChanges(context, surveys) : undefined,
      repairing,
    ]);
    if (!stats.closed) behind.book.pulled();
    for (const survey of surveys) {
      const isComplete = survey.isAllCompared && !stats.closed && !stats.hasFailedIn(survey.repository);
      await noteHiddenReferrers(context, survey, isComplete);
      noteLostTags(context, survey);
      if (isComplete) await context.leftOutRecords.dropUnconfirmed(survey.repository);
    }
    const images = surveys.reduce((sum, { parentTags }) => sum + parentTags, 0);
    if (!stats.closed) leftOut.completed(images, (repository) => stats.hasFailedIn(repository));
  } catch (error) {
    const ended = endedBy(signal);
    if (ended) {
      await storePosition(deps, reported, { good: false });
      return { ...stats.result(pass, ended, leftOut.summary()), ...(!hasAnswered() && { unanswered: true }) };
    }
    signal.throwIfAborted();
    stats.fail({}, error);
  }
  const result = stats.result(pass, undefined, leftOut.summary());
  await storePosition(deps, reported, stats.outcome(result));
  return result;
}

/** Causes for which everything is compared, regardless of the changes that the parent reports. */
const COMPARE_ALL = new Set(['configuration', 'damage', 'space']);

async function findChanges(
  { feed, changeCursor, acr, acrChanges, parent, configuration, signal }: PassDeps,
  { scope, full, cause }: PassRequest,
  isDue: boolean,
): Promise<ReportedChanges | undefined> {
  if (scope) return undefined;
  const scopeHash = comparisonScope(configuration);
  const compareAll = full === true || isDue || COMPARE_ALL.has(cause);
  if (acr)
    return acrChanges.scan(
      { acr, parent, repositories: configuration.repositories, signal },
      { scopeHash, full: compareAll },
    );
  return changeCursor.read(feed, { scopeHash, full: compareAll, mustAsk: !ROUTINE.has(cause) }, signal);
}

/** Whether everything is compared, as far as that is known before the parent is asked for its changes. */
async function mustCompareAll(
  { feed, changeCursor, acr, configuration }: PassDeps,
  { scope }: PassRequest,
): Promise<boolean> {
  if (scope || acr || feed.hasAnswered) return false;
  await changeCursor.use(comparisonScope(configuration));
  return changeCursor.cursor === undefined;
}

/** Ends the reading of the changes. If the cursor can't be stored, the next pass reads the same ones again. */
async function storePosition(
  { log }: PassDeps,
  reported: ReportedChanges | undefined,
  outcome: PassOutcome,
): Promise<void> {
  await reported?.finish(outcome).catch((err) => log.warn({ err }, 'failed to store the change cursor'));
}

/**
 * Records the parent at storage. If it is another one than before, a ReadWrite layer forgets what it agreed on with the
 * old one: content that a new parent lacks was not deleted there.
 */
async function checkParent({ bus, configuration, feed, log, signal }: PassDeps): Promise<void> {
  const { parent, mode, repositories } = configuration;
  if (!parent) return;
  const identity = identityOfParent(parent.url);
  const forget = mode === 'ReadWrite';
  const { repaired } = feed;
  const renames = renamesOf(repositories);
  const record = { parent: identity, forget, renames, ...(repaired !== undefined && { repaired }) };
  const { forgotten } = await bus.call(recordParent, record, { signal });
  const message = 'the parent was replaced or repaired, or its repositories renamed; comparing them again';
  if (forgotten) log.warn({ parent: identity }, message);
}

/** Why the pass was ended from outside, if that is part of its result. */
function endedBy({ aborted, reason }: AbortSignal): PassResult['ended'] {
  if (!aborted) return undefined;
  if (Fault.is(reason, 'window-closed')) return 'window';
  if (Fault.is(reason, 'paused')) return 'paused';
  return reason instanceof Fault && reason.detail?.cause === 'configuration' ? 'configuration' : undefined;
}

/** Runs in parallel to pull and push: large damaged content does not delay them. */
async function runRepair(context: PassContext): Promise<void> {
  const { log, signal, pass, stats } = context;
  try {
    const repaired = await repairDamaged(context, (where, error) => stats.fail(where, error));
    if (repaired > 0) log.info({ pass, repaired }, 'damaged content repaired');
  } catch (error) {
    if (!signal.aborted) stats.fail({}, error);
  }
}
