import { batches } from '#proto/async/batches.ts';
import { type KnownTag, setBases } from '#proto/content/manifests.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { beginSending, dropSending } from '#proto/sync/outgoing.ts';
import type { PassContext } from '../context/pass-context.ts';

/** A change of a tag at the parent: from `base` to `digest` (`null`: no such tag). */
export type Move = { tag: Tag; base: Digest | null; digest: Digest | null; known: KnownTag };

/** Max manifests per request. */
const MAX_MANIFESTS = 1_000;

/**
 * Records what is about to be sent, before it is: should the answer of the parent be lost, the next pass knows the
 * change as this layer's own. The tag counts as being sent until the result is disposed.
 * @param move `base`: what the parent is known to have had last; `known`: the tag here when the change was planned
 * @throws Fault `manifest-unknown` if a client deleted one of the manifests; `conflict` if another pass is sending, or
 *   has sent, a change of the tag
 */
export async function beginSends(
  { bus, sends }: Pick<PassContext, 'bus' | 'sends'>,
  repository: Repository,
  { digests, move }: { digests: Digest[]; move?: Move },
): Promise<Disposable> {
  const sending = move ? sends.begin(repository, move.tag) : { [Symbol.dispose]: () => {} };
  try {
    const all = digests.length > 0 ? [...batches(digests, MAX_MANIFESTS)] : [[]];
    const last = all.at(-1);
    for (const batch of all) {
      await bus.call(beginSending, { repository, digests: batch, ...(batch === last && move && { move }) });
    }
    return sending;
  } catch (error) {
    sending[Symbol.dispose]();
    throw error;
  }
}

/** The parent has the change. */
export async function recordSent(
  { bus }: Pick<PassContext, 'bus'>,
  repository: Repository,
  { tag, base, digest }: Move,
): Promise<void> {
  const known = { base, sending: digest };
  await bus.call(setBases, { repository, bases: [{ tag, digest, known }] });
}

/**
 * An answer denied the change, and the parent has another target: were the change still on record, a later one to the
 * same target by others would count as this layer's own.
 * @param isSent whether the change may be what gave the parent this target
 */
export async function dropIfDenied(
  { bus, parent, signal }: Pick<PassContext, 'bus' | 'parent' | 'signal'>,
  repository: Repository,
  { tag, digest }: Move,
  isSent: (current: Digest | undefined) => boolean,
  error: unknown,
): Promise<void> {
  if (!Fault.is(error, 'parent-refused', 'conflict')) return;
  // A refusal may be that of a second attempt, after the answer to the first one was lost.
  const mayBeThere = await parent.resolve(repository, tag, signal).then(isSent, () => true);
  if (!mayBeThere) await bus.call(dropSending, { tags: [{ repository, tag, digest }] });
}
