import { Fault } from '#proto/fault.ts';
import type { Failure } from '#proto/passes.ts';
import { type Damaged, listDamaged } from '#proto/upkeep.ts';
import { each } from '../transfer/slots.ts';
import { type BringMeans, commitManifest } from './bring.ts';

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
  means: BringMeans,
  fail: (failure: Failure, error: unknown) => void,
): Promise<number> {
  // What is in no repository any more waits only for garbage collection to forget it.
  const damaged = (await allDamaged(means)).filter(({ repositories }) => repositories.length > 0);
  const blobs = damaged.filter(({ mediaType }) => mediaType === undefined);
  let manifests = damaged.filter(({ mediaType }) => mediaType !== undefined);
  let repaired = 0;
  const run = async (one: Damaged, unfit: (error: unknown) => void) => {
    try {
      await bringAgain(means, one);
      repaired += 1;
    } catch (error) {
      means.signal.throwIfAborted();
      unfit(error);
    }
  };
  const giveUp = ({ digest, repositories }: Damaged, error: unknown) => {
    const [repository] = repositories;
    const said = error instanceof Fault ? error.message : 'the log says why';
    const code = error instanceof Fault ? error.code : 'internal';
    const reason = `${digest} is damaged here and can't be fetched again (${said}): push it again, or delete what names it`;
    fail({ ...(repository && { repository }), code, reason }, error);
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

async function allDamaged({ bus, signal }: BringMeans): Promise<Damaged[]> {
  const all: Damaged[] = [];
  for (let after: string | undefined; ; ) {
    const page = await bus.call(listDamaged, { limit: PAGE, ...(after && { after }) }, { signal });
    all.push(...page.damaged);
    after = page.damaged.at(-1)?.digest;
    if (!page.more || after === undefined) return all;
  }
}

/** @throws Fault of the last repository that was asked */
async function bringAgain(
  means: BringMeans,
  { digest, size, repositories, mediaType }: Damaged,
): Promise<void> {
  const { parent, arrivals, signal } = means;
  let last: unknown = new Fault('blob-unknown', 'no repository has it any more');
  for (const repository of repositories) {
    try {
      if (mediaType === undefined) await arrivals.bring({ repository, digest, size });
      else await commitManifest(means, repository, await parent.manifest(repository, digest, signal));
      return;
    } catch (error) {
      if (!Fault.is(error, ...elsewhere)) throw error;
      last = error;
    }
  }
  throw last;
}
