import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type PlannedAction, type PlanRules, planTag, type Views } from '../../../proto/sync/plan-tag.ts';

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const [A, B, C] = ['a', 'b', 'c'].map(digest) as [string, string, string];
const _ = undefined;

type Row = [base: string | undefined, layer: string | undefined, parent: string | undefined, string];
const show = (action: PlannedAction | undefined) =>
  action
    ? [action.kind, action.digest?.slice(7, 8) ?? '-', action.loser && `loser ${action.loser.slice(7, 8)}`]
        .filter(Boolean)
        .join(' ')
    : 'nothing';

/** All combinations of equal and different views: A is the base, B and C are changes. */
const tables: Record<string, { rules: PlanRules; rows: Row[] }> = {
  'ReadWrite, parent wins': {
    rules: { mode: 'ReadWrite', conflict: 'parent-wins' },
    rows: [
      [_, _, _, 'nothing'],
      [_, _, B, 'take b'],
      [_, B, _, 'push b'],
      [_, B, B, 'agree b'],
      [_, B, C, 'take c loser b'],
      [A, _, _, 'agree -'],
      [A, _, A, 'withdraw -'],
      [A, _, B, 'take b'],
      [A, A, _, 'drop -'],
      [A, A, A, 'nothing'],
      [A, A, B, 'take b'],
      [A, B, _, 'push b'],
      [A, B, A, 'push b'],
      [A, B, B, 'agree b'],
      [A, B, C, 'take c loser b'],
    ],
  },
  'ReadWrite, layer wins': {
    rules: { mode: 'ReadWrite', conflict: 'layer-wins' },
    rows: [
      [_, B, C, 'push b loser c'],
      [A, B, C, 'push b loser c'],
      [A, B, _, 'push b'],
      [A, _, B, 'take b'],
      [A, A, B, 'take b'],
      [A, B, A, 'push b'],
    ],
  },
  ReadOnly: {
    rules: { mode: 'ReadOnly', conflict: 'layer-wins' },
    rows: [
      [_, _, _, 'nothing'],
      [_, _, B, 'take b'],
      [_, B, _, 'nothing'],
      [_, B, B, 'agree b'],
      [_, B, C, 'take c loser b'],
      [A, _, _, 'agree -'],
      [A, _, A, 'take a'],
      [A, _, B, 'take b'],
      [A, A, _, 'drop -'],
      [A, A, A, 'nothing'],
      [A, A, B, 'take b'],
      [A, B, _, 'nothing'],
      [A, B, A, 'take a loser b'],
      [A, B, B, 'agree b'],
      [A, B, C, 'take c loser b'],
    ],
  },
  'ReadWrite, excluded': {
    rules: { mode: 'ReadWrite', conflict: 'parent-wins', excluded: true },
    rows: [
      [_, _, B, 'nothing'],
      [_, B, B, 'agree b'],
      [_, B, C, 'take c loser b'],
      [A, _, A, 'withdraw -'],
      [A, _, B, 'agree -'],
      [A, A, _, 'nothing'],
      [A, A, A, 'nothing'],
      [A, A, B, 'nothing'],
      [A, B, A, 'push b'],
      [A, B, B, 'agree b'],
      [A, B, C, 'take c loser b'],
    ],
  },
  'ReadOnly, excluded': {
    rules: { mode: 'ReadOnly', conflict: 'parent-wins', excluded: true },
    rows: [
      [_, _, B, 'nothing'],
      [_, B, C, 'nothing'],
      [A, _, A, 'agree -'],
      [A, _, B, 'agree -'],
      [A, A, _, 'drop -'],
      [A, A, A, 'drop -'],
      [A, A, B, 'drop -'],
      [A, B, A, 'nothing'],
      [A, B, C, 'nothing'],
    ],
  },
  'ReadWrite, a tag that is missing at the parent may exist there': {
    rules: { mode: 'ReadWrite', conflict: 'parent-wins', unsure: true },
    rows: [
      [_, _, B, 'take b'],
      [_, B, _, 'push b'],
      [A, _, _, 'nothing'],
      [A, _, A, 'withdraw -'],
      [A, A, _, 'nothing'],
      [A, A, B, 'take b'],
      [A, B, _, 'push b'],
      [A, B, C, 'take c loser b'],
    ],
  },
  'ReadOnly, a tag that is missing at the parent may exist there': {
    rules: { mode: 'ReadOnly', conflict: 'parent-wins', unsure: true },
    rows: [
      [_, B, _, 'nothing'],
      [A, _, _, 'nothing'],
      [A, A, _, 'nothing'],
      [A, B, _, 'nothing'],
      [A, A, B, 'take b'],
    ],
  },
};

for (const [name, { rules, rows }] of Object.entries(tables)) {
  for (const [base, layer, parent, expected] of rows) {
    const shown = [base, layer, parent].map((one) => one?.slice(7, 8) ?? '-').join(' ');
    test(`${name}: base, layer, parent = ${shown}: ${expected}`, () => {
      assert.equal(show(planTag({ base, layer, parent }, rules)), expected);
    });
  }
}

const view = fc.constantFrom(undefined, A, B, C);
const views: fc.Arbitrary<Views> = fc.record({ base: view, layer: view, parent: view });
const anyRules: fc.Arbitrary<PlanRules> = fc.record({
  mode: fc.constantFrom('ReadWrite' as const, 'ReadOnly' as const),
  conflict: fc.constantFrom('parent-wins' as const, 'layer-wins' as const),
});

test('after an action is carried out, no action is planned', () => {
  fc.assert(
    fc.property(views, anyRules, (before, rules) => {
      const action = planTag(before, rules);
      if (!action) return;
      const after = { base: action.digest, layer: action.digest, parent: action.digest };
      assert.equal(planTag(after, rules), undefined);
    }),
  );
});

test('content that only one side has is retained, as the target of the tag or as the loser', () => {
  fc.assert(
    fc.property(views, anyRules, (before, rules) => {
      const action = planTag(before, rules);
      if (!action) return;
      for (const own of [before.layer, before.parent]) {
        if (own === undefined || own === before.base) continue;
        assert.ok(own === action.digest || own === action.loser, `${own} is lost`);
      }
    }),
  );
});

test('a ReadOnly layer never changes its parent', () => {
  fc.assert(
    fc.property(views, anyRules, (before, rules) => {
      const kind = planTag(before, { ...rules, mode: 'ReadOnly' })?.kind;
      assert.ok(kind !== 'push' && kind !== 'withdraw');
    }),
  );
});

test('an excluded tag is taken only if the layer has content for it, which becomes the loser', () => {
  fc.assert(
    fc.property(views, anyRules, (before, rules) => {
      const action = planTag(before, { ...rules, excluded: true });
      if (action?.kind === 'take') assert.ok(before.layer !== undefined && action.loser === before.layer);
    }),
  );
});

test('the only action for a missing tag that may exist at the parent is a push', () => {
  fc.assert(
    fc.property(views, anyRules, (before, rules) => {
      const kind = planTag({ ...before, parent: undefined }, { ...rules, unsure: true })?.kind;
      assert.ok(kind === undefined || kind === 'push');
    }),
  );
});
