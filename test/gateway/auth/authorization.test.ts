import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type RepositoryAction, repositoryActions } from '#proto/accounts/scopes.ts';
import {
  AccessRules,
  type AccessVerdict,
  decide,
  decideGateway,
} from '../../../services/gateway/auth/authorization.ts';

const rulesFor = (pattern: string, actions: readonly RepositoryAction[]) =>
  new AccessRules(actions.map((action) => `repositories/${pattern}/${action}`));

/** What the account, or the grant, has on the repository that is asked for. */
type Has = 'the action' | 'another action' | 'nothing';
const has: Has[] = ['the action', 'another action', 'nothing'];

/** Of whom: a token by Basic (no grant), a token by Bearer, or nobody, with and without an anonymous Bearer token. */
const table: Record<RepositoryAction, Record<Has, [known: AccessVerdict, anonymous: AccessVerdict]>> = {
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
  const made = (what: Has, pattern: string) =>
    rulesFor(pattern, { 'the action': [action], 'another action': others, nothing: [] }[what]);
  for (const accountHas of has) {
    for (const anonymous of [false, true]) {
      const verdict = table[action][accountHas][anonymous ? 1 : 0];
      for (const grantHas of [undefined, ...has]) {
        // What the account has decides first: a grant is a part of it, and never adds to it.
        const narrowed = verdict === 'allow' && grantHas && grantHas !== 'the action';
        const want = narrowed ? 'challenge' : verdict;
        const who = anonymous ? 'everybody has' : 'the account has';
        const title = `${action}: ${who} ${accountHas}, ${grantHas ? `the grant ${grantHas}` : 'no grant'}: ${want}`;
        test(title, () => {
          for (const pattern of ['a/b', 'a/*', '*']) {
            const grant = grantHas && made(grantHas, pattern);
            const account = { anonymous, rules: made(accountHas, pattern) };
            equal(decide(grant, account, { repository: 'a/b', action }), want);
            // Rules about others are no rules here.
            const elsewhere = { anonymous, rules: rulesFor('a/b/*', repositoryActions) };
            const nothing = table[action].nothing[anonymous ? 1 : 0];
            equal(decide(grant, elsewhere, { repository: 'a/b', action }), nothing);
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

test('rules add up, in any order, as if each were read alone', () => {
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
      (list, repository, wanted) => {
        const rules = new AccessRules(list.map(([each, what]) => `repositories/${each}/${what}`));
        equal(
          rules.allows(repository, wanted),
          list.some(([each, what]) => what === wanted && covers(each, repository)),
        );
        equal(
          rules.touches(repository),
          list.some(([each]) => covers(each, repository)),
        );
      },
    ),
  );
});

test('rules that speak of no repository allow nothing', () => {
  const rules = new AccessRules(['gateway/a/config/read', 'nonsense', '']);
  equal(rules.touches('a'), false);
});

const mine = new AccessRules(['gateway/a/config/write']);
const others = new AccessRules([
  'gateway/b/config/write',
  'gateway/a/config/read',
  'repositories/*/content/write',
]);
for (const [title, account, grant, want] of [
  ['the right to it', mine, undefined, 'allow'],
  ['the right to it, and a grant of it', mine, mine, 'allow'],
  ['the right to it, and a grant of something else', mine, others, 'challenge'],
  ['other rights', others, undefined, 'deny'],
  ['other rights, and a grant of it', others, mine, 'deny'],
] as const) {
  test(`to act as a child with ${title}: ${want}`, () => {
    const need = { child: 'a', action: 'config/write' } as const;
    equal(decideGateway(grant, { anonymous: false, rules: account }, need), want);
    const nobodys = want === 'deny' ? 'challenge' : want;
    equal(decideGateway(grant, { anonymous: true, rules: account }, need), nobodys);
  });
}
