import assert from 'node:assert/strict';
import { test } from 'node:test';
import { comparisonScope } from '#proto/document/comparison-scope.ts';
import { type FigureSources, repositoryState, syncFigure, tagState } from '#proto/overview/sync-state.ts';

/** The figure of synchronization, from the states of the bus. */

const now = Date.UTC(2030, 0, 1);
const [A, B] = ['a', 'b'].map((letter) => `sha256:${letter.repeat(64)}`) as [string, string];
const NONE = { tags: 0, bytes: 0, unsized: 0, failed: 0 };
const QUIET = { tags: 0, manifests: 0, deletions: 0, parked: 0 };

const COORDINATOR = { coordinates: true, transfers: [] };

type Given = {
  mode?: 'ReadWrite' | 'ReadOnly';
  link?: object;
  behind?: object;
  outgoing?: object;
  uncompared?: number;
  syncers?: object[];
  bandwidth?: object[];
};

const sourcesOf = ({
  mode = 'ReadWrite',
  link = {},
  behind,
  outgoing,
  uncompared,
  syncers = [COORDINATOR],
  bandwidth = [],
}: Given) =>
  ({
    configuration: { parent: { url: 'https://above' }, mode, schedule: '* * * * *', bandwidth },
    link: { state: 'Online', since: now, lastSync: now - 5_000, coordinator: 'c', ...link },
    storage: {
      outgoing: { unsent: 0, withdrawn: 0, parked: 0, tags: 0, ...outgoing },
      behind: { ...NONE, ...behind },
      ...(uncompared && { uncompared }),
      conflicts: 0,
    },
    syncers,
  }) as unknown as FigureSources;
const figure = (given: Given) => syncFigure(sourcesOf(given), now);

test('a layer that is equal to its parent is in sync, as of the last pass, or as of now if it follows', () => {
  assert.deepEqual(figure({}), {
    ...{ state: 'in-sync', asOf: now - 5_000, behind: NONE, ahead: QUIET, conflicts: 0, leftOut: 0 },
  });
  assert.equal(figure({ link: { comparedAt: now - 9_000 } })?.asOf, now - 9_000);
  const followed = { live: true, follows: true };
  assert.equal(figure({ link: followed })?.asOf, now);
  for (const state of ['Offline', 'Unhealthy'])
    assert.equal(figure({ link: { ...followed, state } })?.asOf, now - 5_000);
});

test('a layer does not follow its parent before it was compared, nor without a coordinator', () => {
  assert.equal(figure({ link: { live: true } })?.asOf, now - 5_000);
  const link = { live: true, follows: true };
  for (const syncers of [[], [{ ...COORDINATOR, coordinates: false }]])
    assert.equal(figure({ link, syncers })?.asOf, now - 5_000);
});

test('what was compared with other settings says nothing of the present ones', () => {
  const { configuration } = sourcesOf({});
  assert.ok(configuration);
  const comparedScope = comparisonScope(configuration);
  assert.equal(figure({ link: { comparedScope } })?.state, 'in-sync');
  const { state, asOf } = figure({ mode: 'ReadOnly', link: { comparedScope } }) ?? {};
  assert.deepEqual([state, asOf], ['unknown', undefined]);
});

test('what the layer lacks, and what it has for its parent, decide the state', () => {
  const behind = { tags: 1, unsized: 1 };
  assert.equal(figure({ behind })?.state, 'behind');
  assert.equal(figure({ behind, outgoing: { unsent: 1 } })?.state, 'diverged');
  for (const outgoing of [{ unsent: 1 }, { withdrawn: 1 }, { parked: 1 }, { tags: 1 }])
    assert.equal(figure({ outgoing })?.state, 'ahead');
  assert.equal(figure({ mode: 'ReadOnly', outgoing: { unsent: 3, tags: 2 } })?.state, 'in-sync');
});

test('what was not compared is not called equal', () => {
  assert.equal(figure({ link: { lastSync: undefined } })?.state, 'unknown');
  assert.equal(figure({ link: { state: 'Unhealthy', code: 'parent-refused' } })?.state, 'unknown');
  assert.equal(
    figure({ link: { state: 'Unhealthy', code: 'parent-refused' }, behind: { tags: 1 } })?.state,
    'behind',
  );
  assert.equal(figure({ link: { code: 'content-left-out', leftOut: { images: 4 } } })?.leftOut, 4);
  const leftOut = { lastSync: undefined, comparedAt: now, code: 'content-left-out', leftOut: { images: 4 } };
  assert.equal(figure({ link: leftOut })?.state, 'in-sync');
  assert.equal(
    figure({ link: { state: 'Unhealthy', code: 'changes-parked' }, outgoing: { parked: 1 } })?.state,
    'ahead',
  );
  assert.equal(syncFigure({ ...sourcesOf({}), configuration: undefined } as never, now), undefined);
});

test('a layer with a repository that could not be compared is not in sync, however its link is', () => {
  const { state, uncompared } = figure({ uncompared: 2 }) ?? {};
  assert.deepEqual([state, uncompared], ['unknown', 2]);
  const behind = figure({ uncompared: 2, behind: { tags: 1 } });
  assert.deepEqual([behind?.state, behind?.uncompared], ['behind', 2]);
});

test('bytes that a delta saves do not count as missing', () => {
  const delta = { digest: A, size: 30 };
  const transfers = [{ direction: 'down', size: 1_000, done: 10, delta }];
  const { behind } = figure({ behind: { tags: 1, bytes: 1_400 }, syncers: [{ transfers }] }) ?? {};
  assert.equal(behind?.bytes, 420);
});

test('bytes on their way do not count as missing; the rate of all syncers says until when', () => {
  const transfer = (direction: string, done: number) => ({ direction, done, size: 1_000 });
  const syncers = [
    { ...COORDINATOR, transfers: [transfer('down', 300), transfer('up', 50)], rate: { down: 60, up: 9 } },
    { transfers: [transfer('down', 100)], rate: { down: 40, up: 0 } },
    { transfers: [] },
  ];
  const behind = { tags: 2, bytes: 1_400 };
  assert.deepEqual(figure({ behind, syncers }), {
    ...{ state: 'behind', asOf: now - 5_000, behind: { ...NONE, tags: 2, bytes: 1_000 }, ahead: QUIET },
    ...{ until: now + 10_000, rate: 100, conflicts: 0, leftOut: 0 },
  });
  // Two tags of unknown size count as the average of the other two.
  assert.equal(figure({ behind: { tags: 4, unsized: 2, bytes: 1_400 }, syncers })?.until, now + 20_000);
  assert.equal(figure({ behind, bandwidth: [{ limit: 700 }] })?.until, now + 2_000);
  assert.equal(figure({ behind })?.until, undefined);
  const paused = { since: now, by: 'operator' };
  assert.equal(figure({ behind, syncers, link: { paused } })?.until, undefined);
  const ends = { ...paused, until: now + 60_000 };
  assert.equal(figure({ behind, syncers, link: { paused: ends } })?.until, now + 70_000);
  assert.equal(figure({ behind: { ...behind, failed: 2 }, syncers })?.until, undefined);
});

test('nobody knows until when while the parent does not answer, or without a syncer', () => {
  const given = { behind: { tags: 2, bytes: 1_400 }, bandwidth: [{ limit: 700 }] };
  assert.equal(figure({ ...given, syncers: [] })?.until, undefined);
  const until = (code: string) => figure({ ...given, link: { state: 'Offline', code } })?.until;
  assert.equal(until('parent-unreachable'), undefined);
  assert.equal(until('window-closed'), now + 2_000);
});

test('a repository and a tag have states of their own', () => {
  const repository = { repository: 'app', covered: true, tags: 1, conflicts: 0, behind: NONE, ahead: QUIET };
  assert.equal(repositoryState(repository), 'in-sync');
  assert.equal(repositoryState({ ...repository, covered: false }), 'local');
  assert.equal(repositoryState({ ...repository, ahead: { ...QUIET, tags: 1 } }), 'ahead');
  assert.equal(repositoryState({ ...repository, behind: { ...NONE, tags: 1 } }), 'behind');
  const uncompared = { code: 'denied', reason: 'no', since: now };
  assert.equal(repositoryState({ ...repository, uncompared }), 'unknown');
  assert.equal(repositoryState({ ...repository, uncompared, behind: { ...NONE, tags: 1 } }), 'behind');

  const behind = { target: B, since: now };
  const rows: [object, 'ReadWrite' | 'ReadOnly', string][] = [
    [{ digest: A, base: A }, 'ReadWrite', 'in-sync'],
    [{ digest: B, base: A }, 'ReadWrite', 'ahead'],
    [{ base: A }, 'ReadWrite', 'ahead'],
    [{ digest: A }, 'ReadOnly', 'local'],
    [{ digest: A, base: A, behind }, 'ReadOnly', 'behind'],
    [{ digest: A, behind }, 'ReadWrite', 'diverged'],
    [{ behind }, 'ReadWrite', 'behind'],
  ];
  for (const [tag, mode, state] of rows) assert.equal(tagState({ tag: 't', ...tag }, true, mode), state);
  assert.equal(tagState({ tag: 't', digest: A }, false, 'ReadWrite'), 'local');
});
