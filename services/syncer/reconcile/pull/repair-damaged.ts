import { each } from '#proto/async/each.ts';
import { type Damaged, listDamaged } from '#proto/content/maintenance.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Failure } from '#proto/sync/passes.ts';
import { readLeftOutManifests } from '../context/lists.ts';
import type { PassContext } from '../context/pass-context.ts';
import { commitManifest } from './pull-load.ts';

/** Max damaged entries per answer of storage. */
const PAGE = 100;
/** Max entries fetched in parallel. */
const MAX_PARALLEL = 8;

/** Codes after which another repository may still provide the content. */
const TRY_ELSEWHERE = ['blob-unknown', 'manifest-unknown', 'parent-refused'] as const;

/**
 * Fetches damaged content from the parent again, from any repository that provides it: blobs first, then manifests,
 * which storage accepts only if the content that they refer to is here.
 * @returns number of repaired blobs and manifests
 */
export async function repairDamaged(
  context: PassContext,
  fail: (where: Pick<Failure, 'repository'>, error: unknown) => void,
): Promise<number> {
  // Content that is in no repository any more only waits for garbage collection.
  const damaged = (await readDamaged(context)).filter(({ repositories }) => repositories.length > 0);
  const blobs = damaged.filter(({ mediaType }) => mediaType === undefined);
  let manifests = damaged.filter(({ mediaType }) => mediaType !== undefined);
  let repaired = 0;
  const run = async (one: Damaged, onError: (error: unknown) => void) => {
    try {
      await fetchAgain(context, one);
      repaired += 1;
    } catch (error) {
      context.signal.throwIfAborted();
      onError(error);
    }
  };
  const giveUp = ({ digest, repositories }: Damaged, error: unknown) => {
    const [repository] = repositories;
    const where = repository ? { repository } : {};
    if (!(error instanceof Fault)) return fail(where, error);
    const reason = `${digest} is damaged here and can't be fetched again (${error.message}): push it again, or delete what refers to it`;
    fail(where, new Fault(error.code, reason, { cause: error }));
  };
  await each(blobs, MAX_PARALLEL, (one) => run(one, (error) => giveUp(one, error)));
  // An index has to follow its manifests: rounds repeat while one of them repairs at least one manifest.
  for (let before = -1; before !== repaired && manifests.length > 0; ) {
    before = repaired;
    const retry: Damaged[] = [];
    await each(manifests, MAX_PARALLEL, (one) =>
      run(one, (error) => {
        if (Fault.is(error, 'manifest-blob-unknown')) retry.push(one);
        else giveUp(one, error);
      }),
    );
    manifests = retry;
  }
  for (const one of manifests) {
    giveUp(one, new Fault('manifest-blob-unknown', 'content that it refers to is missing here, too'));
  }
  return repaired;
}

async function readDamaged({ bus, signal }: PassContext): Promise<Damaged[]> {
  const all: Damaged[] = [];
  for (let after: string | undefined; ; ) {
    const page = await bus.call(listDamaged, { limit: PAGE, ...(after && { after }) }, { signal });
    for (const one of page.damaged) all.push(one);
    after = page.damaged.at(-1)?.digest;
    if (!page.more || after === undefined) return all;
  }
}

/** @throws Fault of the last repository that was tried */
async function fetchAgain(
  context: PassContext,
  { digest, size, repositories, mediaType }: Damaged,
): Promise<void> {
  const { bus, parent, transferJobs, signal } = context;
  let last: unknown = new Fault('blob-unknown', 'no repository contains it');
  for (const repository of repositories) {
    try {
      if (mediaType === undefined) await transferJobs.download({ repository, digest, size });
      else {
        const manifest = await parent.manifest(repository, digest, signal);
        const leftOut = await readLeftOutManifests(bus, repository, signal);
        const leftOutHere = leftOut.filter(({ index }) => index === digest);
        await commitManifest(context, repository, manifest, leftOutHere);
      }
      return;
    } catch (error) {
      if (!Fault.is(error, ...TRY_ELSEWHERE)) throw error;
      last = error;
    }
  }
  throw last;
}
