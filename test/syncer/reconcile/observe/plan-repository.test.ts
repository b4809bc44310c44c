import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest, Tag } from '#proto/oci/names.ts';
import {
  type Coverage,
  coverageOf,
  type Observation,
  planRepository,
} from '../../../../services/syncer/reconcile/observe/plan-repository.ts';

const [A, B, C] = ['a', 'b', 'c'].map((letter) => `sha256:${letter.repeat(64)}`) as [Digest, Digest, Digest];
const _ = undefined;
const TAG: Tag = 'v1';

/** What the parent reports about the tag. */
const views = {
  /** Selected, and resolved. */
  listed: { listed: [TAG], wanted: [TAG], resolved: [TAG] },
  /** Excluded by the filter, and not resolved. */
  excluded: { listed: [TAG], wanted: [], resolved: [] },
  /** The parent's list lacks it; it was resolved by name. */
  unlisted: { listed: ['other'], wanted: ['other'], resolved: [TAG, 'other'] },
  /** It points at the placeholder of a withdrawal. */
  placeholder: { listed: [TAG], wanted: [TAG], resolved: [TAG], placeholders: [TAG] },
  /** The parent does not know the repository. */
  unknown: { listed: undefined, wanted: [], resolved: [] },
} satisfies Record<
  string,
  { listed: Tag[] | undefined; wanted: Tag[]; resolved: Tag[]; placeholders?: Tag[] }
>;
type View = keyof typeof views;

const coverages: Record<'all' | 'scope' | 'reported' | 'changed', Coverage> = {
  all: { kind: 'all' },
  scope: { kind: 'scope', tags: [TAG] },
  reported: { kind: 'reported', tags: [TAG], reported: new Set([TAG]) },
  /** Changed here, while the parent reported other tags. */
  changed: { kind: 'reported', tags: [TAG], reported: new Set() },
};

type Row = [base: Digest | undefined, layer: Digest | undefined, parent: Digest | undefined, string];
const targets = (digest: Digest | undefined) => new Map(digest ? [[TAG, digest]] : []);

function observe(
  coverage: Coverage,
  view: View,
  [base, layer, parent]: Row,
  rest: Partial<Observation> = {},
): Observation {
  const { listed, wanted, resolved, ...others } = views[view];
  return {
    coverage,
    base: targets(base),
    layer: targets(layer),
    parent: {
      targets: targets(parent),
      placeholders: new Set('placeholders' in others ? others.placeholders : []),
      resolved: new Set<Tag>(resolved),
      listed,
      wanted: new Set<Tag>(wanted),
    },
    needsAllTags: false,
    unsent: new Set(),
    sending: new Map(),
    ...rest,
  };
}

/** The action for the tag, and `settled` if both sides agree on it. */
function show(observation: Observation, mode: 'ReadWrite' | 'ReadOnly'): string {
  const { actions, settled } = planRepository(observation, { mode, conflict: 'parent-wins' });
  const [one] = actions.filter(({ tag }) => tag === TAG);
  const { kind, digest, loser } = one?.action ?? {};
  const action = kind && [kind, digest?.slice(7, 8) ?? '-', loser && `loser ${loser.slice(7, 8)}`];
  return [...(action ?? ['nothing']), settled.size > 0 && 'settled'].filter(Boolean).join(' ');
}

const tables: [keyof typeof coverages, View, 'ReadWrite' | 'ReadOnly', Row[]][] = [
  [
    'all',
    'listed',
    'ReadWrite',
    [
      [A, A, A, 'nothing settled'],
      [_, A, A, 'agree a settled'],
      [A, A, B, 'take b'],
      [A, B, A, 'push b'],
      [A, B, C, 'take c loser b'],
      [A, _, A, 'withdraw -'],
      // Listed but not resolved: the next list decides.
      [A, A, _, 'nothing'],
      [A, B, _, 'push b'],
    ],
  ],
  [
    'all',
    'excluded',
    'ReadWrite',
    [
      [A, A, _, 'nothing'],
      [_, _, _, 'nothing'],
      [A, B, A, 'push b'],
      // Agreed, but not selected: its referrers are not pulled.
      [A, A, A, 'nothing'],
    ],
  ],
  ['all', 'excluded', 'ReadOnly', [[A, A, _, 'drop -']]],
  [
    'all',
    'unlisted',
    'ReadWrite',
    [
      [A, A, A, 'nothing settled'],
      [A, A, _, 'drop -'],
      [A, A, B, 'take b'],
      [A, B, _, 'push b'],
      [_, B, _, 'push b'],
    ],
  ],
  [
    'all',
    'placeholder',
    'ReadWrite',
    [
      [A, A, _, 'drop -'],
      [A, _, _, 'agree -'],
      [A, B, _, 'push b'],
    ],
  ],
  [
    'all',
    'unknown',
    'ReadWrite',
    [
      [A, A, _, 'nothing'],
      [_, B, _, 'push b'],
      [A, _, _, 'nothing'],
    ],
  ],
  [
    'scope',
    'listed',
    'ReadWrite',
    [
      [A, B, A, 'push b'],
      [A, _, A, 'withdraw -'],
      [A, A, B, 'nothing'],
      [A, A, _, 'nothing'],
      [A, B, C, 'take c loser b'],
      [_, A, A, 'agree a'],
      [A, A, A, 'nothing'],
    ],
  ],
  [
    'reported',
    'listed',
    'ReadWrite',
    [
      [A, A, B, 'take b'],
      [A, A, _, 'drop -'],
      [A, B, _, 'push b'],
      [A, B, C, 'take c loser b'],
      [A, A, A, 'nothing'],
    ],
  ],
  ['reported', 'placeholder', 'ReadWrite', [[A, A, _, 'drop -']]],
  [
    'changed',
    'listed',
    'ReadWrite',
    [
      [A, B, A, 'push b'],
      [A, _, A, 'withdraw -'],
      // Not reported as deleted.
      [A, B, _, 'push b'],
      [A, _, _, 'nothing'],
    ],
  ],
];
for (const [coverage, view, mode, rows] of tables) {
  for (const row of rows) {
    const [base, layer, parent, expected] = row;
    const shown = [base, layer, parent].map((one) => one?.slice(7, 8) ?? '-').join(' ');
    test(`${mode}, ${coverage}, ${view}: base, layer, parent = ${shown}: ${expected}`, () => {
      assert.equal(show(observe(coverages[coverage], view, row), mode), expected);
    });
  }
}

/** A push that was interrupted before its base was recorded: the parent's content is unsent. */
const pushed: Row[] = [
  [A, C, B, 'push c'],
  [_, C, B, 'push c'],
  [_, _, B, 'take b'],
  [A, _, B, 'withdraw -'],
  [A, A, B, 'take b'],
  [_, B, B, 'agree b settled'],
];
for (const row of pushed) {
  const [base, layer, parent, expected] = row;
  const shown = [base, layer, parent].map((one) => one?.slice(7, 8) ?? '-').join(' ');
  test(`b is unsent: base, layer, parent = ${shown}: ${expected}`, () => {
    const observation = observe(coverages.all, 'listed', row, { unsent: new Set([B]) });
    assert.equal(show(observation, 'ReadWrite'), expected);
  });
}

/** A pass has begun to move the tag to b, or to delete it, at the parent, and did not record the base. */
const sent: [Row, to: Digest | null, isObsolete?: true][] = [
  [[A, C, B, 'push c'], B],
  [[A, A, B, 'push a'], B],
  [[_, _, B, 'withdraw -'], B],
  [[_, B, B, 'agree b settled'], B],
  [[A, _, B, 'withdraw -'], B],
  [[_, C, _, 'push c'], B, true],
  [[_, _, _, 'nothing'], B, true],
  [[A, A, A, 'nothing settled'], B, true],
  [[_, _, C, 'take c'], B, true],
  [[A, A, _, 'push a'], null],
  [[A, B, _, 'push b'], null],
  [[A, _, _, 'agree -'], null],
  [[_, _, _, 'nothing'], null, true],
  [[A, _, A, 'withdraw -'], null, true],
  [[A, A, A, 'nothing settled'], null, true],
  [[A, A, C, 'take c'], null, true],
];
for (const [row, to, isObsolete = false] of sent) {
  const [base, layer, parent, expected] = row;
  const shown = [base, layer, parent].map((one) => one?.slice(7, 8) ?? '-').join(' ');
  const name = `${to?.slice(7, 8) ?? '-'} was sent: base, layer, parent = ${shown}: ${expected}`;
  test(`${name}${isObsolete ? ', and the record is obsolete' : ''}`, () => {
    const observation = observe(coverages.all, parent ? 'listed' : 'unlisted', row, {
      sending: new Map([[TAG, to]]),
    });
    assert.equal(show(observation, 'ReadWrite'), expected);
    const { obsolete } = planRepository(observation, { mode: 'ReadWrite', conflict: 'parent-wins' });
    assert.deepEqual([...obsolete], isObsolete ? [[TAG, to]] : []);
  });
}

test('what was sent of a tag decides nothing while the target of the tag at the parent is unknown', () => {
  const sending = new Map([[TAG, null]]);
  const observation = observe(coverages.all, 'unknown', [A, A, _, ''], { sending });
  assert.equal(show(observation, 'ReadWrite'), 'nothing');
  const { obsolete } = planRepository(observation, { mode: 'ReadWrite', conflict: 'parent-wins' });
  assert.deepEqual([...obsolete], []);
});

/** Whether the targets of all the parent's tags are known. */
const allTags: [keyof typeof coverages, View, needsAllTags: boolean, boolean][] = [
  ['all', 'listed', false, true],
  ['all', 'excluded', false, false],
  ['all', 'unknown', false, false],
  ['scope', 'listed', false, false],
  ['reported', 'listed', false, false],
  ['all', 'excluded', true, true],
  ['scope', 'listed', true, true],
  ['all', 'unknown', true, true],
];
for (const [coverage, view, needsAllTags, expected] of allTags) {
  const known = expected ? 'all known' : 'not all known';
  test(`tags of ${coverage}, ${view}${needsAllTags ? ', all needed' : ''}: ${known}`, () => {
    const observation = observe(coverages[coverage], view, [_, _, _, ''], { needsAllTags });
    assert.equal(
      planRepository(observation, { mode: 'ReadOnly', conflict: 'parent-wins' }).hasAllTags,
      expected,
    );
  });
}

test('not all tags of a repository that the parent does not know are known if one of them resolves', () => {
  const observation = observe(coverages.all, 'unknown', [_, _, A, ''], { needsAllTags: true });
  assert.equal(planRepository(observation, { mode: 'ReadOnly', conflict: 'parent-wins' }).hasAllTags, false);
});

test('all tags of both sides are compared, each once and in order', () => {
  const row: Row = [A, A, A, ''];
  const { tags } = planRepository(observe(coverages.all, 'unlisted', row), {
    mode: 'ReadWrite',
    conflict: 'parent-wins',
  });
  assert.equal(tags, 2);
});

const local = {
  layer: new Map([
    ['same', A],
    ['new', B],
  ]),
  base: new Map([
    ['same', A],
    ['old', A],
  ]),
  sending: new Map(),
};
const changes = { tags: new Map([['theirs', B]]), around: new Set<Digest>() };

test('without a scope and reported changes, all tags are compared; with a scope, its tags', () => {
  assert.deepEqual(coverageOf(local, 'ReadWrite', undefined, true), { kind: 'all' });
  const scope = new Set(['v1', A]);
  assert.deepEqual(coverageOf(local, 'ReadWrite', scope, false), { kind: 'scope', tags: ['v1'] });
});

test('tags that the parent reported and tags changed here are compared, unless all tags are needed', () => {
  const reported = new Set(['theirs']);
  assert.deepEqual(coverageOf(local, 'ReadWrite', changes, true), {
    kind: 'reported',
    tags: ['theirs', 'new', 'old'],
    reported,
  });
  assert.deepEqual(coverageOf(local, 'ReadOnly', changes, true), {
    kind: 'reported',
    tags: ['theirs'],
    reported,
  });
  assert.deepEqual(coverageOf(local, 'ReadWrite', changes, false), { kind: 'all' });
});
