import { each } from '#proto/async/each.ts';
import { type Damaged, listDamaged } from '#proto/content/maintenance.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Failure } from '#proto/sync/passes.ts';
import { leftOutOf } from '../context/lists.ts';
import type { PassContext } from '../context/pass-context.ts';
import { commitManifest } from './bring.ts';

/** Damaged content in one answer of storage, and how much is brought at a time. */
const PAGE = 100;
const AT_ONCE = 8;

/** What another repository may still give. */
const elsewhere = ['blob-unknown', 'manifest-unknown', 'parent-refused'] as const;

/**
 * Brings content that turned out damaged here from the parent again, out of whichever repository it gives it: blobs
 * first, then manifests, which storage takes only when what they refer to is here.
 * @returns how much is whole again
 */
export async function repair(
  context: PassContext,
  fail: (where: Pick<Failure, 'repository'>, error: unknown) => void,
): Promise<number> {
  // What is in no repository any more waits only for garbage collection to forget it.
  const damaged = (await allDamaged(context)).filter(({ repositories }) => repositories.length > 0);
  const blobs = damaged.filter(({ mediaType }) => mediaType === undefined);
  let manifests = damaged.filter(({ mediaType }) => mediaType !== undefined);
  let repaired = 0;
  const run = async (one: Damaged, unfit: (error: unknown) => void) => {
    try {
      await bringAgain(context, one);
      repaired += 1;
    } catch (error) {
      context.signal.throwIfAborted();
      unfit(error);
    }
  };
  const giveUp = ({ digest, repositories }: Damaged, error: unknown) => {
    const [repository] = repositories;
    const where = repository ? { repository } : {};
    if (!(error instanceof Fault)) return fail(where, error);
    const reason = `${digest} is damaged here and can't be fetched again (${error.message}): push it again, or delete what names it`;
    fail(where, new Fault(error.code, reason, { cause: error }));
  };
  await each(blobs, AT_ONCE, (one) => run(one, (error) => giveUp(one, error)));
  // An index after its manifests, whatever their digests: as long as a round gets some of them further.
  for (let before = -1; before !== repaired && manifests.length > 0; ) {
    before = repaired;
    const again: Damaged[] = [];
    await each(manifests, AT_ONCE, (one) =>
      run(one, (error) => {
        if (Fault.is(error, 'manifest-blob-unknown')) again.push(one);
        else giveUp(one, error);
      }),
    );
    manifests = again;
  }
  for (const one of manifests) {
    giveUp(one, new Fault('manifest-blob-unknown', 'what it refers to is not here either'));
  }
  return repaired;
}

async function allDamaged({ bus, signal }: PassContext): Promise<Damaged[]> {
  const all: Damaged[] = [];
  for (let after: string | undefined; ; ) {
    const page = await bus.call(listDamaged, { limit: PAGE, ...(after && { after }) }, { signal });
    for (const one of page.damaged) all.push(one);
    after = page.damaged.at(-1)?.digest;
    if (!page.more || after === undefined) return all;
  }
}

/** @throws Fault of the last repository that was asked */
async function bringAgain(
  context: PassContext,
  { digest, size, repositories, mediaType }: Damaged,
): Promise<void> {
  const { bus, parent, arrivals, signal } = context;
  let last: unknown = new Fault('blob-unknown', 'no repository has it any more');
  for (const repository of repositories) {
    try {
      if (mediaType === undefined) await arrivals.bring({ repository, digest, size });
      else {
        const manifest = await parent.manifest(repository, digest, signal);
        const leftOut = await leftOutOf(bus, repository, signal);
        const own = leftOut.filter(({ index }) => index === digest);
        await commitManifest(context, repository, manifest, own);
      }
      return;
    } catch (error) {
      if (!Fault.is(error, ...elsewhere)) throw error;
      last = error;
    }
  }
  throw last;
}
