import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { FastifyRequest } from 'fastify';
import type { ArrivingDelta } from '#proto/content/arriving.ts';
import { findDeltas } from '#proto/content/deltas.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import { AccessRules } from '../../../services/gateway/auth/authorization.ts';
import { arrivingDeltas } from '../../../services/gateway/deltas/arriving-deltas.ts';
import { BaseRights } from '../../../services/gateway/deltas/base-rights.ts';
import { on } from '../accounts.ts';
import { sha256 } from '../gateway-rig.ts';

/** What the rights of a caller cost storage: searches through all repositories. */

type Query = { repository: string; wanted: string[]; held: string[]; elsewhere?: boolean };

const caller = (...actions: string[]) => {
  const identity = { rules: new AccessRules(actions), name: 'child', anonymous: false };
  return { caller: { identity } } as unknown as FastifyRequest;
};
const EVERYTHING = caller(...on('*', 'content/read'));
const SOME = caller(...on('app/*', 'content/read'));

/** A bus whose storage has these blobs, each in one repository. */
function busOf(blobs: Record<string, string>, before = async () => {}) {
  const queries: Query[] = [];
  const call = (async ({ subject }: { subject: string }, query: Query) => {
    equal(subject, findDeltas.subject);
    queries.push(query);
    await before();
    const bases = query.held.flatMap((digest) => {
      const linking = blobs[digest];
      if (linking === undefined) return [];
      const isNamed = linking === query.repository || query.elsewhere;
      return [{ digest, size: 1, repositories: isNamed ? [linking] : [] }];
    });
    return { deltas: [], refused: [], bases };
  }) as never;
  return { queries, bus: { call } };
}

test('only for a caller who may not pull everything, other repositories are searched', async () => {
  const [own, hidden] = [sha256('own'), sha256('hidden')];
  const { queries, bus } = busOf({ [own]: 'app/b', [hidden]: 'secret' });
  const query = { repository: 'app/a', wanted: [], held: [own, hidden] };
  const all = await new BaseRights(bus, 1_000).find(EVERYTHING, query);
  deepEqual([all.mayPull(own), all.mayPull(hidden)], [true, true]);
  const some = await new BaseRights(bus, 1_000).find(SOME, query);
  deepEqual([some.mayPull(own), some.mayPull(hidden)], [true, false]);
  deepEqual(queries, [query, { ...query, elsewhere: true }]);
});

test('two such searches run at a time, however many callers ask', async () => {
  let [running, max] = [0, 0];
  const { queries, bus } = busOf({}, async () => {
    running += 1;
    max = Math.max(max, running);
    await new Promise(setImmediate);
    running -= 1;
  });
  const query = { repository: 'app/a', wanted: [], held: [sha256('x')] };
  await Promise.all(Array.from({ length: 10 }, () => new BaseRights(bus, 1_000).find(SOME, query)));
  deepEqual([queries.length, max], [10, 2]);
});

test('bases of deltas in transfer are asked about with the repository of their own target', async () => {
  const [a, b, c] = [sha256('a'), sha256('b'), sha256('c')];
  const delta = (repository: string, ...from: string[]): ArrivingDelta => {
    const facts = {
      to: sha256(`to ${from}`),
      toSize: 1,
      format: DELTA_FORMAT,
      kind: 'raw' as const,
      cpuMs: 1,
    };
    return { repository, digest: sha256(`${from}`), size: 1, attempt: '', delta: { ...facts, from } };
  };
  const [ofA, ofB, ofBoth, ofC] = [
    delta('app/a', a),
    delta('app/b', b),
    delta('app/b', b, a),
    delta('app/b', c),
  ];
  const { queries, bus } = busOf({ [a]: 'app/a', [b]: 'app/b', [c]: 'secret' });
  const gateway = { bus, times: { patienceMs: 1_000 } };
  deepEqual(await arrivingDeltas(gateway, SOME, [ofA, ofB, ofBoth]), [ofA, ofB, ofBoth]);
  deepEqual(queries, [
    { repository: 'app/a', wanted: [], held: [a] },
    { repository: 'app/b', wanted: [], held: [b, a] },
  ]);
  queries.length = 0;
  deepEqual(await arrivingDeltas(gateway, SOME, [ofA, ofC]), [ofA]);
  deepEqual(queries.at(-1), { repository: 'app/a', wanted: [], held: [c], elsewhere: true });
  equal(queries.length, 3);
  deepEqual(await arrivingDeltas(gateway, EVERYTHING, [ofA, ofC]), [ofA, ofC]);
  equal(queries.length, 3);
});
