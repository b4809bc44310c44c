import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import {
  allowsGateway,
  isOperateAction,
  parseAction,
  repositoryActions,
  ruleOf,
  systemScopeMaps,
} from '#proto/accounts/scopes.ts';
import { Fault } from '#proto/contract/fault.ts';

for (const text of [
  'repositories/a/content/read',
  'repositories/a/b-c/d.e/content/write',
  'repositories/a/*/content/delete',
  'repositories/*/metadata/read',
  'repositories/content/read/metadata/write',
  'gateway/child1/config/read',
  'gateway/child-2/message/write',
  'operate/read',
  'operate/write',
]) {
  test(`${text} is an action`, () => equal(parseAction(text), text));
}

test("a child's name is converted to lower case", () => {
  equal(parseAction('gateway/Child1/config/write'), 'gateway/child1/config/write');
});

for (const text of [
  '',
  'content/read',
  'repositories/content/read',
  'repositories//content/read',
  'repositories/A/content/read',
  'repositories/a*/content/read',
  'repositories/*/b/content/read',
  'repositories/a/**/content/read',
  'repositories/*/*/content/read',
  'repositories/a//*/content/read',
  'repositories/a/content/list',
  'repositories/a/metadata/delete',
  'repositories/a/config/read',
  'repositories/a/content/read ',
  'repositories/a/content/read\n',
  'gateway/*/config/read',
  'gateway/a/b/config/read',
  'gateway/a/config/delete',
  'gateway/a/content/read',
  'operate/delete',
  'operate',
  'operate/*/read',
  `repositories/${'a'.repeat(256)}/content/read`,
]) {
  test(`${JSON.stringify(text.slice(0, 60))} is not an action, and the refusal shows the syntax`, () => {
    throws(
      () => parseAction(text),
      (error: unknown) => Fault.is(error, 'malformed') && /repositories\/<name, prefix/.test(error.message),
    );
  });
}

test('a repository action is split into a pattern and an action', () => {
  deepEqual(ruleOf('repositories/a/*/content/read'), { pattern: 'a/*', action: 'content/read' });
  deepEqual(ruleOf('repositories/*/metadata/write'), { pattern: '*', action: 'metadata/write' });
  equal(ruleOf('gateway/a/config/read'), undefined);
  equal(ruleOf('repositories/a/config/read'), undefined);
  equal(ruleOf('nonsense'), undefined);
});

test('every action of the system scope maps is valid', () => {
  for (const actions of Object.values(systemScopeMaps)) {
    deepEqual(actions.map(parseAction), actions);
    const onRepositories = actions.filter((action) => !isOperateAction(action));
    for (const action of onRepositories) equal(repositoryActions.includes(ruleOf(action)!.action), true);
  }
});

test('a child has exactly the gateway rights that its actions name', () => {
  const actions = ['gateway/child1/config/read', 'repositories/*/content/read'];
  equal(allowsGateway(actions, 'Child1', 'config/read'), true);
  equal(allowsGateway(actions, 'child1', 'config/write'), false);
  equal(allowsGateway(actions, 'child2', 'config/read'), false);
});
