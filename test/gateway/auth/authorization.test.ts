import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  operateActions,
  type RepositoryAction,
  repositoryActions,
  systemScopeMaps,
} from '#proto/accounts/scopes.ts';
import {
  AccessRules,
  type AccessVerdict,
  decide,
  decideGateway,
  decideOperate,
  UNRESTRICTED,
} from '../../../services/gateway/auth/authorization.ts';

const rulesFor = (pattern: string, actions: readonly RepositoryAction[]) =>
  new AccessRules(actions.map((action) => `repositories/${pattern}/${action}`));

/** What the account, or the grant, allows in the requested repository. */
type Allowed = 'the action' | 'another action' | 'nothing';
const allAllowed: Allowed[] = ['the action', 'another action', 'nothing'];

/** Verdicts for a named and for an anonymous caller. Each may have a grant (Bearer) or none (Basic, no credentials). */
const table: Record<RepositoryAction, Record<Allowed, [known: AccessVerdict, anonymous: AccessVerdict]>> = {
  'content/read': {
    'the action': ['allow', 'allow'],
    'another action': ['deny', 'challenge'],
    nothing: ['hide', 'challenge'],
  },
  'content/write': {
    'the action': ['allow', 'allow'],
    'another action': ['deny', 'challenge'],
    nothing: ['deny', 'challenge'],
  },
  'content/delete': {
    'the action': ['allow', 'allow'],
    'another action': ['deny', 'challenge'],
    nothing: ['hide', 'challenge'],
  },
  'metadata/read': {
    'the action': ['allow', 'allow'],
    'another action': ['deny', 'challenge'],
    nothing: ['hide', 'challenge'],
  },
  'metadata/write': {
    'the action': ['allow', 'allow'],
    'another action': ['deny', 'challenge'],
    nothing: ['deny', 'challenge'],
  },
};

for (const action of repositoryActions) {
  const others = repositoryActions.filter((each) => each !== action);
  const rulesWith = (what: Allowed, pattern: string) =>
    rulesFor(pattern, { 'the action': [action], 'another action': others, nothing: [] }[what]);
  for (const accountHas of allAllowed) {
    for (const anonymous of [false, true]) {
      const verdict = table[action][accountHas][anonymous ? 1 : 0];
      for (const grantHas of [undefined, ...allAllowed]) {
        // The account decides first: a grant narrows its rights, and never adds to them.
        const narrowed = verdict === 'allow' && grantHas && grantHas !== 'the action';
        const expected = narrowed ? 'challenge' : verdict;
        const who = anonymous ? 'anonymous callers have' : 'the account has';
        const having = `${who} ${accountHas}, and ${grantHas ? `the grant ${grantHas}` : 'there is no grant'}`;
        const title = `${action} gets the verdict ${expected} if ${having}`;
        test(title, () => {
          for (const pattern of ['a/b', 'a/*', '*']) {
            const grant = grantHas && rulesWith(grantHas, pattern);
            const account = { anonymous, rules: rulesWith(accountHas, pattern) };
            equal(decide(grant, account, { repository: 'a/b', action }), expected);
            // Rules for other repositories do not apply.
            const otherAccount = { anonymous, rules: rulesFor('a/b/*', repositoryActions) };
            const withoutRights = table[action].nothing[anonymous ? 1 : 0];
            equal(decide(grant, otherAccount, { repository: 'a/b', action }), withoutRights);
          }
        });
      }
    }
  }
}

const matches: [pattern: string, yes: string[], no: string[]][] = [
  ['*', ['a', 'a/b', 'a/b/c'], []],
  ['a', ['a'], ['a/b', 'aa', 'b', 'b/a']],
  ['a/*', ['a/b', 'a/b/c'], ['a', 'ab', 'ab/c', 'b/a/c']],
  ['a/b/*', ['a/b/c', 'a/b/c/d'], ['a/b', 'a/c', 'a/bb/c']],
];
for (const [pattern, yes, no] of matches) {
  test(`${pattern} covers ${yes.join(', ')} and not ${no.join(', ') || 'nothing'}`, () => {
    const rules = rulesFor(pattern, ['content/read']);
    for (const repository of yes) {
      equal(rules.allows(repository, 'content/read'), true, repository);
      equal(rules.allows(repository, 'content/write'), false, repository);
      equal(rules.touches(repository), true, repository);
    }
    for (const repository of no) equal(rules.touches(repository), false, repository);
  });
}

test('an action is allowed if any of the rules allows it, in any order', () => {
  const part = fc.constantFrom('a', 'b', 'c');
  const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  const pattern = fc.oneof(
    name,
    name.map((each) => `${each}/*`),
    fc.constant('*'),
  );
  const action = fc.constantFrom(...repositoryActions);
  const covers = (each: string, repository: string) =>
    each === '*' || each === repository || (each.endsWith('/*') && repository.startsWith(each.slice(0, -1)));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(pattern, action), { maxLength: 6 }),
      name,
      action,
      (list, repository, requested) => {
        const rules = new AccessRules(list.map(([each, what]) => `repositories/${each}/${what}`));
        equal(
          rules.allows(repository, requested),
          list.some(([each, what]) => what === requested && covers(each, repository)),
        );
        equal(
          rules.touches(repository),
          list.some(([each]) => covers(each, repository)),
        );
      },
    ),
  );
});

test('rules without a repository allow nothing', () => {
  const rules = new AccessRules(['gateway/a/config/read', 'nonsense', '']);
  equal(rules.touches('a'), false);
});

const childRules = new AccessRules(['gateway/a/config/write']);
const otherRules = new AccessRules([
  'gateway/b/config/write',
  'gateway/a/config/read',
  'repositories/*/content/write',
]);
for (const [title, account, grant, expected] of [
  ['its right', childRules, undefined, 'allow'],
  ['its right and a grant of it', childRules, childRules, 'allow'],
  ['its right and a grant of others', childRules, otherRules, 'challenge'],
  ['other rights', otherRules, undefined, 'deny'],
  ['other rights and a grant of its right', otherRules, childRules, 'deny'],
] as const) {
  test(`acting as a child with ${title} gets the verdict ${expected}`, () => {
    const need = { child: 'a', action: 'config/write' } as const;
    equal(decideGateway(grant, { anonymous: false, rules: account }, need), expected);
    const anonymousVerdict = expected === 'deny' ? 'challenge' : expected;
    equal(decideGateway(grant, { anonymous: true, rules: account }, need), anonymousVerdict);
  });
}

for (const action of operateActions) {
  const [read, both] = [new AccessRules(['operate/read']), new AccessRules(operateActions)];
  const allActions = new AccessRules(systemScopeMaps._repositories_admin ?? []);
  const only = action === 'operate/read';
  test(`${action} needs an account that has it, and a grant that covers it`, () => {
    const verdict = (rules: AccessRules, grant?: AccessRules, anonymous = false) =>
      decideOperate(grant, { anonymous, rules }, { action, openOperate: true });
    equal(verdict(both), 'allow');
    equal(verdict(read), only ? 'allow' : 'deny');
    equal(verdict(allActions), 'deny');
    equal(verdict(both, both), 'allow');
    equal(verdict(both, read), only ? 'allow' : 'challenge');
    equal(verdict(both, allActions), 'challenge');
    equal(verdict(allActions, both), 'deny');
    equal(verdict(allActions, undefined, true), 'challenge');
    equal(verdict(allActions, both, true), 'challenge');
  });
  test(`${action} is allowed without accounts only where no other machine reaches the layer`, () => {
    for (const openOperate of [true, false]) {
      const verdict = decideOperate(undefined, UNRESTRICTED, { action, openOperate });
      equal(verdict, openOperate ? 'allow' : 'deny');
    }
  });
}
