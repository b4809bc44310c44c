import { DEFAULT_LIMIT } from '#proto/api/lists.ts';
import { ParkedList } from '#proto/api/pending.ts';
import { GarbageAnswer } from '#proto/api/storage.ts';
import { collectGarbage } from '#proto/content/maintenance.ts';
import { Type } from '#proto/contract/schema.ts';
import { listParked } from '#proto/sync/outgoing.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, operation } from '../operation/operation.ts';
import { pageQuery } from '../operation/query.ts';

/** What garbage collection would delete, and why it leaves the rest. All records and manifests are read for it. */
export function garbageOperation({ bus }: Gateway): Operation {
  return operation({
    method: 'GET',
    path: '/garbage',
    needs: 'operate/read',
    summary:
      'What garbage collection would delete now, and what is held, why and until when. Reads all records; one at a time.',
    answers: { 200: GarbageAnswer },
    refusals: [429],
    handler: () => bus.call(collectGarbage, { dryRun: true, explain: true }),
  });
}

/** Changes that the parent refused. */
export function parkedOperation({ bus, times }: Gateway): Operation {
  return operation({
    method: 'GET',
    path: '/parked',
    needs: 'operate/read',
    summary: 'Changes that the parent refused, by repository and reference.',
    query: Type.Object({ ...pageQuery, after: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })) }),
    answers: { 200: ParkedList },
    handler: async ({ query: { after, limit = DEFAULT_LIMIT } }): Promise<ParkedList> => {
      const query = { limit, ...(after !== undefined && { after }) };
      const { parked, more } = await bus.call(listParked, query, { patience: times.patienceMs });
      const last = parked.at(-1);
      return { items: parked, ...(more && last && { next: `${last.repository}!${last.reference}` }) };
    },
  });
}
