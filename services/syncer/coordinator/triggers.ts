import { randomUUID } from 'node:crypto';
import type { EventListener } from '#proto/bus/roles.ts';
import { manifestCommitted, manifestDeleted, tagDeleted, tagMoved } from '#proto/content/content-events.ts';
import { blobDamaged, spaceChanged } from '#proto/content/maintenance.ts';
import type { Traceparent } from '#proto/contract/traceparent.ts';
import type { Repository } from '#proto/oci/names.ts';
import { changeKey, mergeRequests, type PassRequest } from '../reconcile/context/pass-request.ts';

/** Triggers arrive in bursts: a pass is requested this long after the first of a burst, in ms. */
const BATCH_MS = 1_000;

export type TriggerDeps = {
  bus: EventListener;
  /** Whether a client's changes in this repository are pushed at once. Otherwise the next unscoped pass finds them. */
  isPushedAtOnce: (repository: Repository) => boolean;
  requestPass: (passRequest: PassRequest) => void;
};

/**
 * Requests a pass after events in the layer. Changes that were pulled from the parent request none.
 * @returns a function that ends the subscription
 */
export function subscribeTriggers({ bus, isPushedAtOnce, requestPass }: TriggerDeps): () => void {
  let pending: PassRequest | undefined;
  let timer: NodeJS.Timeout | undefined;
  const soon = (passRequest: Omit<PassRequest, 'id'>) => {
    pending = mergeRequests(pending, { id: randomUUID(), ...passRequest });
    timer ??= setTimeout(() => {
      const request = pending as PassRequest;
      timer = pending = undefined;
      requestPass(request);
    }, BATCH_MS).unref();
  };
  const changed = (
    repository: Repository,
    reference: string,
    { arrived }: { arrived?: boolean | undefined },
    traceparent: Traceparent | undefined,
  ) => {
    if (arrived || !isPushedAtOnce(repository)) return;
    soon({
      cause: 'change',
      scope: new Map([[repository, new Set([reference])]]),
      ...(traceparent && { traces: new Map([[changeKey(repository, reference), traceparent]]) }),
    });
  };
  const cleanups = [
    bus.listen(tagMoved, ({ data, traceparent }) => changed(data.repository, data.tag, data, traceparent)),
    bus.listen(tagDeleted, ({ data, traceparent }) => changed(data.repository, data.tag, data, traceparent)),
    bus.listen(manifestCommitted, ({ data, traceparent }) =>
      changed(data.repository, data.digest, data, traceparent),
    ),
    bus.listen(manifestDeleted, ({ data, traceparent }) =>
      changed(data.repository, data.digest, data, traceparent),
    ),
    // A pass fetches damaged content again, and retries what had no space.
    bus.listen(blobDamaged, () => soon({ cause: 'damage' })),
    bus.listen(spaceChanged, ({ data }) => {
      if (!data.low) soon({ cause: 'space' });
    }),
  ];
  return () => {
    for (const cleanup of cleanups) cleanup();
    clearTimeout(timer);
  };
}
