import { randomUUID } from 'node:crypto';
import type { Bus } from '#proto/bus/bus.ts';
import { manifestCommitted, manifestDeleted, tagDeleted, tagMoved } from '#proto/content/content-events.ts';
import { blobDamaged, spaceChanged } from '#proto/content/maintenance.ts';
import type { Repository } from '#proto/oci/names.ts';
import { merged, type PassRequest } from '../reconcile/context/pass-request.ts';

/** Events that ask for a pass come in groups: the pass is wanted so long after the first of one, in ms. */
const SOON_MS = 1_000;

export type TriggerDeps = {
  bus: Pick<Bus, 'listen'>;
  /** Whether what a client changes in this repository goes up at once. Else the next whole pass finds it. */
  goesUp: (repository: Repository) => boolean;
  want: (passRequest: PassRequest) => void;
};

/** What happens in the layer and asks for a pass. What came from the parent does not. @returns what ends it */
export function subscribeTriggers({ bus, goesUp, want }: TriggerDeps): () => void {
  let waiting: PassRequest | undefined;
  let timer: NodeJS.Timeout | undefined;
  const soon = (passRequest: Omit<PassRequest, 'id'>) => {
    waiting = merged(waiting, { id: randomUUID(), ...passRequest });
    timer ??= setTimeout(() => {
      const wanted = waiting as PassRequest;
      timer = waiting = undefined;
      want(wanted);
    }, SOON_MS).unref();
  };
  const changed = (repository: Repository, reference: string, arrived: boolean | undefined) => {
    if (arrived || !goesUp(repository)) return;
    soon({ cause: 'change', scope: new Map([[repository, new Set([reference])]]) });
  };
  const ends = [
    bus.listen(tagMoved, ({ data }) => changed(data.repository, data.tag, data.arrived)),
    bus.listen(tagDeleted, ({ data }) => changed(data.repository, data.tag, data.arrived)),
    bus.listen(manifestCommitted, ({ data }) => changed(data.repository, data.digest, data.arrived)),
    bus.listen(manifestDeleted, ({ data }) => changed(data.repository, data.digest, data.arrived)),
    // What was damaged comes again; what had no room may have it now.
    bus.listen(blobDamaged, () => soon({ cause: 'damage' })),
    bus.listen(spaceChanged, ({ data }) => {
      if (!data.low) soon({ cause: 'space' });
    }),
  ];
  return () => {
    for (const end of ends) end();
    clearTimeout(timer);
  };
}
