import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { operateActions, repositoryActions } from '#proto/accounts/scopes.ts';
import { AccessRules } from '../../../services/gateway/auth/authorization.ts';
import {
  grantOf,
  MAX_SCOPES,
  narrow,
  operateScope,
  scopeFor,
} from '../../../services/gateway/auth/docker-scopes.ts';

const rules = new AccessRules([
  'repositories/all/content/read',
  'repositories/all/content/write',
  'repositories/all/content/delete',
  'repositories/all/metadata/read',
  'repositories/all/metadata/write',
  'repositories/pull/content/read',
  'repositories/list/metadata/read',
]);
const all = ['pull', 'metadata_read', 'push', 'metadata_write', 'delete'];

const table: [requested: string, granted: Record<string, string[]>][] = [
  ['repository:all:pull', { all: ['pull', 'metadata_read'] }],
  ['repository:all:pull,push', { all: ['pull', 'metadata_read', 'push', 'metadata_write'] }],
  ['repository:all:push,pull', { all: ['push', 'metadata_write', 'pull', 'metadata_read'] }],
  ['repository:all:delete', { all: ['delete'] }],
  ['repository:all:metadata_read,metadata_write', { all: ['metadata_read', 'metadata_write'] }],
  ['repository:all:*', { all: ['pull', 'push', 'delete', 'metadata_read', 'metadata_write'] }],
  ['repository:pull:pull,push,delete', { pull: ['pull'] }],
  ['repository:pull:*', { pull: ['pull'] }],
  ['repository:pull:push', {}],
  ['repository:list:pull', { list: ['metadata_read'] }],
  ['repository:none:pull', {}],
  ['repository(plugin):all:delete', { all: ['delete'] }],
  ['repository:all:pull repository:pull:pull', { all: ['pull', 'metadata_read'], pull: ['pull'] }],
  ['repository:all:delete repository:all:pull', { all: ['delete', 'pull', 'metadata_read'] }],
  ['repository:all:fly,delete', { all: ['delete'] }],
  ['repository:*:pull', { '*': ['pull', 'metadata_read'] }],
  ['repository:a/*:delete', { 'a/*': ['delete'] }],
  ['repository:host:5000/all:pull', {}],
  ['repository:ALL:pull', {}],
  ['repository::pull', {}],
  ['repository:all:', {}],
  ['repository:all', {}],
  ['registry:all:*', {}],
  ['nonsense', {}],
  ['', {}],
];
for (const [requested, granted] of table) {
  test(`the scope ${JSON.stringify(requested)} grants ${JSON.stringify(granted)}`, () => {
    const expected = Object.entries(granted).map(([name, actions]) => ({
      type: 'repository',
      name,
      actions,
    }));
    deepEqual(narrow([requested], rules), expected);
  });
}

test('the catalog scope is granted to every caller, and is not a repository', () => {
  const access = narrow(['registry:catalog:*', 'repository:all:*'], rules);
  deepEqual(access, [
    { type: 'registry', name: 'catalog', actions: ['*'] },
    {
      type: 'repository',
      name: 'all',
      actions: ['pull', 'push', 'delete', 'metadata_read', 'metadata_write'],
    },
  ]);
  equal(grantOf(access).catalog, true);
  equal(grantOf(narrow(['repository:catalog:*'], rules)).catalog, false);
  equal(grantOf(narrow(['registry:catalog:*'], rules)).rules.touches('catalog'), false);
});

test('a grant allows its actions in its repositories, by name and by pattern, and no more', () => {
  const { rules: one } = grantOf(narrow(['repository:all:pull'], rules));
  equal(one.allows('all', 'content/read'), true);
  equal(one.allows('all', 'metadata/read'), true);
  equal(one.allows('all', 'content/write'), false);
  equal(one.touches('pull'), false);
  const { rules: every } = grantOf(narrow(['repository:*:*'], rules));
  for (const action of repositoryActions) equal(every.allows('any/thing', action), true);
  equal(grantOf([{ type: 'repository', name: 'all', actions: ['fly', ...all] }]).rules.touches('all'), true);
});

test('scopes after the first MAX_SCOPES are ignored', () => {
  const many = Array.from({ length: MAX_SCOPES }, () => 'repository:none:pull');
  deepEqual(narrow([...many, 'repository:all:pull'], rules), []);
  deepEqual(narrow([many.slice(1).join(' '), 'repository:pull:pull'], rules).length, 1);
});

test('the name of an Object.prototype property is not an action', () => {
  for (const word of ['constructor', 'toString', '__proto__']) {
    deepEqual(narrow([`repository:*:${word}`, `repository:all:${word}`], rules), []);
  }
});

test('the scope of a challenge grants the needed action', () => {
  for (const action of repositoryActions) {
    const { rules: grant } = grantOf(narrow([scopeFor(action, 'all')], rules));
    equal(grant.allows('all', action), true, action);
  }
});

test('a layer below has gateway scopes for its own name, no wider than its rules', () => {
  const child = new AccessRules(['gateway/line-1/config/write', 'gateway/line-1/message/write']);
  const expected = { type: 'gateway', name: 'line-1', actions: ['config_write', 'message_write'] };
  deepEqual(narrow(['gateway:LINE-1:config_write,message_write,config_read'], child), [expected]);
  deepEqual(narrow(['gateway:line-1:config_write', 'gateway:line-1:message_write'], child), [expected]);
  for (const scope of ['gateway:line-2:config_write', 'gateway:*:config_write', 'gateway:line-1:*']) {
    deepEqual(narrow([scope], child), [], scope);
  }
  deepEqual(narrow(['repository:line-1:pull'], child), []);
  const { rules: granted } = grantOf([{ ...expected, actions: ['config_write', 'pull'] }]);
  equal(granted.allowsGateway('line-1', 'config/write'), true);
  equal(granted.allowsGateway('line-1', 'message/write'), false);
  equal(granted.touches('line-1'), false);
});

test('an operator has the scopes of the layer, no wider than its rules', () => {
  const reader = new AccessRules(['operate/read']);
  const operator = new AccessRules(['operate/read', 'operate/write']);
  const both = { type: 'operate', name: 'layer', actions: ['read', 'write'] };
  deepEqual(narrow(['operate:layer:read,write'], operator), [both]);
  deepEqual(narrow(['operate:layer:write operate:layer:read'], operator), [
    { ...both, actions: ['write', 'read'] },
  ]);
  deepEqual(narrow(['operate:layer:read,write'], reader), [{ ...both, actions: ['read'] }]);
  for (const scope of ['operate:layer:*', 'operate:*:read', 'operate:other:read', 'repository:layer:read']) {
    deepEqual(narrow([scope], operator), [], scope);
  }
  deepEqual(narrow(['operate:layer:read'], rules), []);
  const { rules: granted } = grantOf([{ ...both, actions: ['read', 'pull'] }]);
  deepEqual([granted.allowsOperate('operate/read'), granted.allowsOperate('operate/write')], [true, false]);
  equal(granted.touches('layer'), false);
  equal(grantOf([{ ...both, name: 'other' }]).rules.allowsOperate('operate/read'), false);
  for (const action of operateActions) {
    const { rules: grant } = grantOf(narrow([operateScope(action)], operator));
    equal(grant.allowsOperate(action), true, action);
  }
});
