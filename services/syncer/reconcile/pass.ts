import type { Bus, Log } from '#proto/bus.ts';
import type { Configuration } from '#proto/configuration.ts';
import { Fault, toWire } from '#proto/fault.ts';
import { deleteTag, listRepositories, putTag, setBase } from '#proto/manifests.ts';
import { isRepository, type Repository } from '#proto/names.ts';
import { type Failure, imageFailed, type PassResult, passPlanned, passStarted } from '#proto/passes.ts';
import type { Volume } from '#proto/volume.ts';
import type { Parent } from '../link/parent.ts';
import { each } from '../transfer/slots.ts';
import type { Wish } from '../wish.ts';
import { Arrivals } from './arrivals.ts';
import { type BringMeans, bring } from './bring.ts';
import { matches, named, needsCatalog, selectionOf } from './patterns.ts';
import { loserTag } from './plan.ts';
import { repair } from './repair.ts';
import { type Survey, survey } from './survey.ts';

export type PassMeans = {
  bus: Bus;
  volume: Volume;
  parent: Parent;
  configuration: Configuration;
  log: Log;
  /** This process, and the name of its layer. */
  by: string;
  layer: string;
  /** One that ends because of the window or the configuration has a Fault as its reason: see `endedBy`. */
  signal: AbortSignal;
  /** When the window closes. */
  until?: number;
};

/** Repositories compared, and images brought, at a time. */
const REPOSITORIES_AT_ONCE = 4;
const IMAGES_AT_ONCE = 8;
const MOST_FAILURES = 20;

/**
 * One pass: compares parent and layer, then does what the plan says, each tag by itself, so that one that fails keeps
 * no other back. Everything is found anew each time; nothing is carried from one pass to the next.
 * @throws Fault where nothing could be compared at all
 */
export async function makePass(means: PassMeans, { id: pass, cause }: Wish): Promise<PassResult> {
  const { bus, log, signal, configuration } = means;
  const began = Date.now();
  bus.publish(passStarted, { pass, coordinator: means.by, cause });
  const tally = {
    taken: 0,
    dropped: 0,
    sent: 0,
    withdrawn: 0,
    failed: 0,
    parked: 0,
    failures: [] as Failure[],
  };
  const fail = (failure: Failure) => {
    log.warn(failure, 'part of a pass failed');
    tally.failed += 1;
    if (tally.failures.length < MOST_FAILURES) tally.failures.push(failure);
  };
  try {
    await means.parent.ping(signal);
    using arrivals = new Arrivals(bus, log, pass, signal);
    const repairing = repairs({ ...means, arrivals, pass }, fail);
    const surveys: Survey[] = [];
    await each(await repositories(means, fail), REPOSITORIES_AT_ONCE, async (repository) => {
      try {
        surveys.push(
          await survey(
            bus,
            means.parent,
            repository,
            {
              mode: configuration.mode,
              conflict: selectionOf(configuration.repositories, repository)?.conflict ?? 'parent-wins',
            },
            signal,
          ),
        );
      } catch (error) {
        signal.throwIfAborted();
        fail({ repository, ...reason(log, error) });
      }
    });
    bus.publish(passPlanned, {
      pass,
      repositories: surveys.length,
      tags: surveys.reduce((sum, { tags }) => sum + tags, 0),
      actions: surveys.reduce((sum, { actions }) => sum + actions.length, 0),
    });
    const tasks = surveys.flatMap((found) => tasksOf({ ...means, arrivals, pass }, found));
    await each(tasks, IMAGES_AT_ONCE, async ({ repository, tag, run }) => {
      try {
        const did = await run();
        if (did) tally[did] += 1;
      } catch (error) {
        signal.throwIfAborted();
        const why = reason(log, error);
        bus.publish(imageFailed, { pass, repository, tag, ...why });
        fail({ repository, ...(tag && { tag }), ...why });
      }
    });
    await repairing;
  } catch (error) {
    const ended = endedBy(signal);
    if (ended) return { pass, ok: false, ...tally, ended, ms: Date.now() - began };
    signal.throwIfAborted();
    fail(reason(log, error));
  }
  return { pass, ok: tally.failed === 0, ...tally, ms: Date.now() - began };
}

/** Why a pass was ended from outside, where that is part of its result. */
function endedBy({ aborted, reason }: AbortSignal): PassResult['ended'] {
  if (!aborted) return undefined;
  if (Fault.is(reason, 'window-closed')) return 'window';
  return reason instanceof Fault && reason.detail?.cause === 'configuration' ? 'configuration' : undefined;
}

/** Beside everything else: damaged content that is large keeps nothing back. */
async function repairs(means: BringMeans & PassMeans, fail: (failure: Failure) => void): Promise<void> {
  const { log, signal, pass } = means;
  try {
    const repaired = await repair(means, (failure, error) => {
      fail({ ...failure, code: reason(log, error).code });
    });
    if (repaired > 0) log.info({ pass, repaired }, 'damaged content is whole again');
  } catch (error) {
    if (!signal.aborted) fail(reason(log, error));
  }
}

type Task = {
  repository: Repository;
  tag: string | null;
  run: () => Promise<'taken' | 'dropped' | undefined>;
};

/** What is to be done in a repository, as tasks that do not depend on each other. */
function tasksOf(means: BringMeans & PassMeans, { repository, actions, settled }: Survey): Task[] {
  const { bus, layer } = means;
  const tasks: Task[] = actions.map(({ tag, views, action }) => ({
    repository,
    tag,
    run: async () => {
      const expect = views.layer ?? null;
      if (action.loser && action.loser === views.layer) {
        await bus.call(putTag, { repository, tag: loserTag(tag, layer, action.loser), digest: action.loser });
      }
      switch (action.kind) {
        case 'agree':
          await bus.call(setBase, { repository, tag, digest: action.digest ?? null });
          return undefined;
        case 'drop':
          await bus.call(deleteTag, { repository, tag, expect, base: true });
          return 'dropped';
        case 'take':
          await bring(means, repository, action.digest as string, { tag, expect: views.layer });
          return 'taken';
        // The way up: what the layer has of its own stays as it is.
        case 'push':
        case 'withdraw':
          return undefined;
      }
    },
  }));
  if (!means.parent.hasReferrers) return tasks;
  const referrers = settled.map((digest) => ({
    repository,
    tag: null,
    run: async () => ((await bring(means, repository, digest)) ? ('taken' as const) : undefined),
  }));
  return [...tasks, ...referrers];
}

/** The repositories that the patterns select, at the parent or here. A refused catalog hides only what it alone tells. */
async function repositories(
  { bus, parent, configuration, signal, log }: PassMeans,
  fail: (failure: Failure) => void,
): Promise<Repository[]> {
  const patterns = configuration.repositories.map(({ name }) => name);
  const found = new Set(named(patterns).filter(isRepository));
  if (!needsCatalog(patterns)) return [...found];
  try {
    for await (const name of parent.repositories(signal)) if (matches(patterns, name)) found.add(name);
  } catch (error) {
    if (!Fault.is(error, 'parent-refused')) throw error;
    fail(reason(log, error));
  }
  let after: string | undefined;
  for (;;) {
    const page = await bus.call(listRepositories, { limit: 1_000, ...(after && { after }) }, { signal });
    for (const name of page.repositories) if (matches(patterns, name)) found.add(name);
    after = page.repositories.at(-1);
    if (!page.more || after === undefined) return [...found].sort();
  }
}

function reason(log: Log, err: unknown): { code: string; reason: string } {
  const { code, message } = toWire(err);
  if (!(err instanceof Fault)) log.error({ err }, 'part of a pass failed');
  return { code, reason: message };
}
