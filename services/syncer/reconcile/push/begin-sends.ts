import { batches } from '#proto/async/batches.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { beginSending } from '#proto/sync/outgoing.ts';
import type { PassContext } from '../context/pass-context.ts';

/** Max manifests per request. */
const MAX_MANIFESTS = 1_000;

/**
 * Records what is about to be sent, before it is: should the answer of the parent be lost, the next pass knows the
 * change as this layer's own. The tag counts as being sent until the result is disposed.
 * @param move `base`: what the parent is known to have had last
 * @throws Fault `manifest-unknown` if a client deleted one of the manifests
 */
export async function beginSends(
  { bus, sends }: Pick<PassContext, 'bus' | 'sends'>,
  repository: Repository,
  { digests, move }: { digests: Digest[]; move?: { tag: Tag; base: Digest | null; digest: Digest | null } },
): Promise<Disposable> {
  const key = move && `${repository}!${move.tag}`;
  if (key) sends.add(key);
  const sending = { [Symbol.dispose]: () => void (key && sends.delete(key)) };
  try {
    for (const batch of batches(digests, MAX_MANIFESTS))
      await bus.call(beginSending, { repository, digests: batch });
    if (move) await bus.call(beginSending, { repository, digests: [], move });
    return sending;
  } catch (error) {
    sending[Symbol.dispose]();
    throw error;
  }
}
