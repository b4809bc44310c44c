import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import type { FastifyRequest } from 'fastify';
import { repositoriesOfBlob } from '#proto/content/blobs.ts';
import {
  findDeltas,
  type HeldDelta,
  MIN_DELTA_TARGET_BYTES,
  type RefusedDelta,
} from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import { DELTA_FORMAT } from '#proto/delta/delta.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { DeltaQuestion } from '#proto/sync/delta-exchange.ts';
import { AccessRules } from '../../../services/gateway/auth/authorization.ts';
import { DeltaJobs } from '../../../services/gateway/deltas/delta-jobs.ts';
import { QuestionAnswers } from '../../../services/gateway/deltas/delta-question.ts';
import { on } from '../accounts.ts';
import { sha256 } from '../gateway-rig.ts';
import { JobBus } from './job-bus.ts';

/** What a child is answered about deltas: by what is here, by what is being made, and by what it may pull. */

const MIB = 1024 * 1024;
const [OLD, NEW, OTHER] = ['old', 'new', 'other'].map(sha256) as [string, string, string];

/** Content of a layer: repositories of each blob, deltas, and refused pairs. */
type Held = {
  blobs?: Record<string, string[]>;
  sizes?: Record<string, number>;
  deltas?: HeldDelta[];
  refused?: RefusedDelta[];
};

const delta = (from: string[], { size = 1_000, format = DELTA_FORMAT } = {}): HeldDelta => ({
  ...{ to: NEW, toSize: MIB, from, format, kind: 'raw', cpuMs: 1 },
  ...{ digest: sha256(`${from}${size}`), size },
});

const caller = (...actions: string[]) => {
  const identity = { rules: new AccessRules(actions), name: 'child', anonymous: false };
  return { caller: { identity } } as unknown as FastifyRequest;
};
const anonymous = (...actions: string[]) => {
  const identity = { rules: new AccessRules(actions), name: '', anonymous: true };
  return { caller: { identity } } as unknown as FastifyRequest;
};
const EVERYTHING = caller(...on('*', 'content/read'));

function layer(held: Held, { mode = 'auto' } = {}) {
  const calls: string[] = [];
  const blobs = held.blobs ?? { [NEW]: ['app'], [OLD]: ['app'], [OTHER]: ['app'] };
  const sizeOf = (digest: string) => held.sizes?.[digest] ?? MIB;
  const jobBus = new JobBus();
  const answers: Record<string, (query: never) => unknown> = {
    [findDeltas.subject]: (query: { repository: string; wanted: string[]; held: string[] }) => {
      const isIts = ({ to, from }: { to: string; from: string[] }) =>
        query.wanted.includes(to) &&
        blobs[to]?.includes(query.repository) &&
        from.every((digest) => query.held.includes(digest));
      return {
        deltas: (held.deltas ?? []).filter(isIts),
        refused: (held.refused ?? []).filter(isIts),
        bases: query.held.flatMap((digest) => {
          const repositories = blobs[digest];
          return repositories
            ? [{ digest, size: sizeOf(digest), repositories: repositories.slice(0, 4) }]
            : [];
        }),
      };
    },
    [repositoriesOfBlob.subject]: ({ digest }: { digest: string }) => ({ repositories: blobs[digest] ?? [] }),
  };
  const call = (async ({ subject }: { subject: string }, query: never) => {
    calls.push(subject);
    return answers[subject]?.(query);
  }) as never;
  const configuration = { delta: { mode, timeMs: 60_000 } } as unknown as Configuration;
  const write = () => {};
  const log = { debug: write, info: write, warn: write, error: write };
  const jobs = new DeltaJobs({ bus: jobBus, configuration: () => configuration, log });
  const cache = {
    blob: async (repository: string, digest: string) => {
      if (!blobs[digest]?.includes(repository)) throw new Fault('blob-unknown', 'not there');
      return { path: '', size: sizeOf(digest) };
    },
  };
  const deps = { bus: { call }, cache, jobs, patienceMs: 1_000 };
  const ask = async (question: Partial<DeltaQuestion> = {}, request = EVERYTHING) => {
    const complete = {
      repository: 'app',
      formats: [DELTA_FORMAT],
      wanted: [{ digest: NEW, size: MIB }],
      layers: [NEW],
      held: [[OLD]],
      wait: 0,
      ...question,
    };
    return (await new QuestionAnswers(deps, complete).check(request)).answer.deltas;
  };
  return { ask, calls, jobBus, deps };
}

const PLAIN = [{ to: NEW, state: 'plain' }];
const MAKING = [{ to: NEW, state: 'making' }];

test('a delta that is here is answered, the smallest one that the asker can apply', async () => {
  const best = delta([OLD, OTHER], { size: 500 });
  const { ask, jobBus } = layer({ deltas: [delta([OLD]), best] });
  deepEqual(await ask({ held: [[OLD, OTHER]] }), [{ to: NEW, state: 'delta', delta: best }]);
  deepEqual(await ask(), [{ to: NEW, state: 'delta', delta: delta([OLD]) }]);
  deepEqual(jobBus.submitted, []);
});

test('a delta of a format that the asker does not know is made again', async () => {
  const newer = layer({ deltas: [delta([OLD], { format: DELTA_FORMAT + 1 })] });
  deepEqual(await newer.ask(), MAKING);
});

test('a delta is made of what the asker holds, once, until it is here or has failed', async () => {
  const held: Held = {};
  const { ask, jobBus } = layer(held);
  deepEqual(await ask({ layers: [OTHER, NEW], held: [[OTHER, OLD]] }), MAKING);
  deepEqual(await ask({ layers: [OTHER, NEW], held: [[OTHER, OLD]] }), MAKING);
  const job = { kind: 'make' as const, repository: 'app', to: NEW, toSize: MIB, reason: 'asked' as const };
  deepEqual(jobBus.submitted, [{ ...job, candidates: [OLD, OTHER] }]);
  held.deltas = [delta([OLD])];
  equal((await ask({ held: [[OTHER, OLD]] }))[0]?.state, 'delta');
  held.deltas = [];
  jobBus.failed(jobBus.submitted[0]!);
  deepEqual(await ask({ layers: [OTHER, NEW], held: [[OTHER, OLD]] }), PLAIN);
});

test('a pair that was refused is not tried again; a more alike base is', async () => {
  const reason = 'poor' as const;
  const { ask } = layer({ refused: [{ to: NEW, from: [OLD], format: DELTA_FORMAT, reason }] });
  deepEqual(await ask(), PLAIN);
  deepEqual(await ask({ held: [[OTHER], [OLD]] }), MAKING);
});

const SMALL = MIN_DELTA_TARGET_BYTES - 1;

test('there is no delta of small blobs, by their true size, nor of bases that are much smaller', async () => {
  const { ask, calls, jobBus } = layer({ sizes: { [NEW]: SMALL } });
  deepEqual(await ask({ wanted: [{ digest: NEW, size: SMALL }] }), PLAIN);
  deepEqual(calls, []);
  deepEqual(await ask(), PLAIN);
  deepEqual(await layer({ sizes: { [OLD]: 8_000 } }).ask(), PLAIN);
  deepEqual(jobBus.submitted, []);
});

test('nothing is made while deltas are off, for formats not known here, or of nothing', async () => {
  const off = layer({ deltas: [delta([OLD])] }, { mode: 'off' });
  deepEqual(await off.ask(), PLAIN);
  deepEqual(off.calls, []);
  deepEqual(await layer({}).ask({ formats: [7] }), PLAIN);
  deepEqual(await layer({}).ask({ held: [] }), PLAIN);
  deepEqual(await layer({}).ask({ held: [[sha256('unknown here')]] }), PLAIN);
});

test('an anonymous caller gets deltas that are here, and has none made', async () => {
  const request = anonymous(...on('*', 'content/read'));
  const here = layer({ deltas: [delta([OLD])] });
  equal((await here.ask({}, request))[0]?.state, 'delta');
  const none = layer({});
  deepEqual(await none.ask({}, request), PLAIN);
  deepEqual(none.jobBus.submitted, []);
});

test('each wanted blob has one answer, in the order of the question', async () => {
  const { ask } = layer({ deltas: [delta([OLD])] });
  const wanted = [OTHER, sha256('absent'), NEW].map((digest) => ({ digest, size: MIB }));
  const answers = await ask({ wanted, layers: [NEW, OTHER] });
  deepEqual(
    answers.map(({ to, state }) => [to, state]),
    [
      [OTHER, 'making'],
      [sha256('absent'), 'plain'],
      [NEW, 'delta'],
    ],
  );
});

test('who may not pull from the repository is answered as if it had none of the blobs, and makes nothing', async () => {
  const { ask, calls, jobBus } = layer({ deltas: [delta([OLD])] });
  for (const request of [
    caller(),
    caller(...on('b', 'content/read')),
    caller(...on('app', 'metadata/read')),
  ]) {
    deepEqual(await ask({}, request), PLAIN);
  }
  deepEqual([calls, jobBus.submitted], [[], []]);
});

test('bases in other repositories count if the caller may pull from these; of others it learns nothing', async () => {
  const child = caller(...on('app', 'content/read'), ...on('tools/*', 'content/read'));
  const secret = { [NEW]: ['app'], [OLD]: ['secret'] };
  const hidden = layer({ blobs: secret, deltas: [delta([OLD])] });
  deepEqual(await hidden.ask({}, child), PLAIN);
  deepEqual(hidden.jobBus.submitted, []);
  equal((await hidden.ask())[0]?.state, 'delta', 'one who may pull everything');
  const dropped = layer({ blobs: { [NEW]: ['app'] }, deltas: [delta([OLD])] });
  deepEqual(await dropped.ask({}, child), PLAIN, 'a base that is no longer here may have been secret');
  equal((await dropped.ask())[0]?.state, 'delta');
  const tools = layer({ blobs: { [NEW]: ['app'], [OLD]: ['secret', 'tools/a'] } });
  deepEqual(await tools.ask({}, child), MAKING);
  const many = { [NEW]: ['app'], [OLD]: ['a', 'b', 'c', 'd', 'tools/z'], [OTHER]: ['a', 'b', 'c', 'd', 'e'] };
  const listed = layer({ blobs: many });
  deepEqual(await listed.ask({ held: [[OTHER, OLD]] }, child), MAKING);
  const [job] = listed.jobBus.submitted;
  deepEqual(job?.kind === 'make' && job.candidates, [OLD]);
});

test('rights that end while a request waits count at its next check', async () => {
  const { deps } = layer({ deltas: [delta([OLD])] });
  const question = {
    repository: 'app',
    formats: [DELTA_FORMAT],
    wanted: [{ digest: NEW, size: MIB }],
    ...{ layers: [], held: [[OLD]], wait: 0 },
  };
  const answers = new QuestionAnswers(deps, question);
  equal((await answers.check(EVERYTHING)).answer.deltas[0]?.state, 'delta');
  deepEqual((await answers.check(caller())).answer.deltas, PLAIN);
});

test('a question names 500 held layers at most, in all images together', () => {
  const { deps } = layer({});
  const image = (name: string) => Array.from({ length: 260 }, (_, n) => sha256(`${name}${n}`));
  const question = { repository: 'app', formats: [DELTA_FORMAT], wanted: [], layers: [], wait: 0 };
  ok(new QuestionAnswers(deps, { ...question, held: [image('a'), image('a')] }));
  throws(
    () => new QuestionAnswers(deps, { ...question, held: [image('a'), image('b')] }),
    /^Fault: \/held: has 520 digests, name 500 at most$/,
  );
});
