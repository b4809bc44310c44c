import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Token } from '#proto/accounts/accounts.ts';
import { childPath } from '#proto/accounts/children.ts';
import { actionsOfChild } from '#proto/accounts/permission-words.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import {
  childrenOf,
  describeChildren,
  documentOf,
  documentText,
  type KnownChild,
  notesOn,
} from '../../../../cli/text/child-text.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { type TestLayer, testLayer } from '../../../support/layer.ts';
import { runCommand } from '../../../support/terrace.ts';

/** Children as a person creates, lists, activates and deactivates them. */

const full = process.env.TERRACE_FULL === '1';
const now = Date.UTC(2030, 0, 2);
const gateway = ['config/read', 'config/write', 'message/read', 'message/write'].map(
  (action) => `gateway/line-1/${action}`,
);

test('a child has the actions of a sync token of Azure Container Registry', () => {
  assert.deepEqual(actionsOfChild('line-1', 'ReadOnly', ['app', 'base/*']), [
    'repositories/app/content/read',
    'repositories/app/metadata/read',
    'repositories/base/*/content/read',
    'repositories/base/*/metadata/read',
    ...gateway,
  ]);
  assert.deepEqual(actionsOfChild('line-1', 'ReadWrite', ['*']), [
    'repositories/*/content/read',
    'repositories/*/content/write',
    'repositories/*/content/delete',
    'repositories/*/metadata/read',
    'repositories/*/metadata/write',
    ...gateway,
  ]);
});

test('the document that is printed for the child is valid', () => {
  const repositories = ['*', 'base/*', 'app', '1', 'null'];
  const document = documentOf({ name: '1', mode: 'ReadWrite', repositories, url: 'https://above:5000' });
  const resolved = resolveDocument({ text: documentText(document), folder: '/etc', readable: () => true });
  assert.ok('configuration' in resolved, JSON.stringify(resolved));
  const { name, mode, parent, ...rest } = resolved.configuration;
  assert.deepEqual([name, mode], ['1', 'ReadWrite']);
  assert.deepEqual(parent, { url: 'https://above:5000', username: '1', passwordFile: '/etc/password' });
  assert.deepEqual(
    rest.repositories.map((one) => one.name),
    repositories,
  );
});

test('notes name what keeps the child, or clients without an account, from connecting', () => {
  assert.deepEqual(notesOn({ listen: '127.0.0.1:5000' }, 1).length, 2);
  assert.deepEqual(notesOn({ listen: '127.0.0.1:5000' }, 2), [
    "This layer listens on 127.0.0.1:5000: other machines can't reach it (listen).",
  ]);
  assert.deepEqual(notesOn({ listen: '127.0.0.1:5000', loginServer: 'registry.line' }, 2), []);
  assert.deepEqual(notesOn({ listen: '0.0.0.0:5000' }, 2), []);
  assert.deepEqual(notesOn(undefined, 2), []);
});

test('children are tokens that may activate a child of their name, and activated children without a token', () => {
  const token = (name: string, scopeMap = name, enabled = true): Token => ({
    name,
    enabled,
    scopeMap,
    created: now,
    passwords: [],
  });
  const scope = (name: string, actions: string[]) => ({ name, actions, system: false });
  const instance = '00000000-0000-4000-8000-000000000000';
  const found = childrenOf(
    [token('ci'), token('line-1'), token('Line-2', 'shared', false), token('other', 'shared')],
    [
      scope('ci', ['repositories/*/content/write']),
      scope('line-1', actionsOfChild('line-1', 'ReadWrite', ['app'])),
      scope('shared', actionsOfChild('line-2', 'ReadOnly', ['base/*'])),
    ],
    [
      { name: 'gone', instance, since: now, seen: now },
      { name: 'line-1', instance, since: now - 86_400_000, seen: now - 60_000 },
    ],
  );
  const expected: KnownChild[] = [
    { name: 'gone', repositories: [], enabled: false, instance, since: now, seen: now },
    {
      name: 'line-1',
      mode: 'ReadWrite',
      repositories: ['app'],
      enabled: true,
      instance,
      since: now - 86_400_000,
      seen: now - 60_000,
    },
    { name: 'line-2', mode: 'ReadOnly', repositories: ['base/*'], enabled: false },
  ];
  assert.deepEqual(found, expected);
  const text = describeChildren(found, now);
  assert.match(text, /^gone +no token +2030-01-02T00:00Z +0 s ago$/m);
  assert.match(text, /^line-1 +ReadWrite +2030-01-01T00:00Z +1 min ago +app$/m);
  assert.match(text, /^line-2 +ReadOnly, disabled +never +base\/\*$/m);
});

describe('terrace child', () => {
  let layer: TestLayer;
  before(async () => {
    layer = await testLayer({ name: 'top', mode: 'ReadWrite', compact: 'hosted' });
  });
  after(() => layer[Symbol.asyncDispose]());
  const runChild = (...parameters: string[]) => runCommandHere('child', ...parameters, '--data', layer.data);

  test('a child is created, listed, activated and deactivated', async () => {
    const created = await runChild(
      'create',
      'line-1',
      '--repository',
      'base/*',
      'app',
      '--mode',
      'ReadWrite',
    );
    assert.equal(created.code, 0, created.text);
    assert.match(created.stdout, /^[A-Za-z0-9]{43}\n$/);
    const lines = ['name: "line-1"', 'mode: ReadWrite', `url: "${layer.url}"`, '- "base/*"', '- "app"'];
    for (const line of lines) assert.ok(created.text.includes(line), created.text);
    assert.match(
      created.text,
      /^It is the first account of this layer: from now on, all clients must log in\.$/m,
    );

    const headers = {
      authorization: `Basic ${Buffer.from(`line-1:${created.stdout.trim()}`).toString('base64')}`,
    };
    const instance = '00000000-0000-4000-8000-000000000000';
    const activate = async () => {
      const body = JSON.stringify({ instance });
      return (await fetch(`${layer.url}${childPath('line-1')}`, { method: 'PUT', headers, body })).status;
    };
    assert.equal(await activate(), 201);
    const [listed] = JSON.parse((await runChild('list', '--json')).stdout) as KnownChild[];
    const { since = 0, seen = 0, repositories, ...child } = listed as KnownChild;
    assert.deepEqual(child, { name: 'line-1', mode: 'ReadWrite', enabled: true, instance });
    assert.deepEqual(repositories.sort(), ['app', 'base/*']);
    assert.ok(Math.abs(Date.now() - since) < 30_000 && seen === since);

    assert.match(
      (await runChild('deactivate', 'line-1')).text,
      /^Child line-1 is deactivated: .* token is unchanged/,
    );
    assert.match((await runChild('deactivate', 'line-1')).text, /^Child line-1 was not activated\.$/m);
    assert.equal(await activate(), 201, 'its token is still valid');
  });

  test('--json prints all that the child needs', async () => {
    const { stdout } = await runChild('create', 'line-2', '--repository', '*', '--json');
    const { password, ...created } = JSON.parse(stdout);
    assert.match(password, /^[A-Za-z0-9]{43}$/);
    const repositories = ['*'];
    const parent = { url: layer.url, username: 'line-2', passwordFile: 'password' };
    const name = 'line-2';
    const mode = 'ReadOnly';
    assert.deepEqual(created, {
      name,
      mode,
      repositories,
      document: { name, mode, parent, repositories },
    });
  });

  test('a parameter that is not valid is refused with its name and the remedy', async () => {
    const rows: [string[], number, RegExp][] = [
      [['create', 'a', '--mode', 'ReadOnly'], 2, /^terrace: child a: --repository is missing/],
      [['create', 'Line', '--repository', '*'], 2, /^terrace: name "Line" is not valid: use lower-case/],
      [
        ['create', 'a', '--repository', 'A'],
        2,
        /^terrace: --repository "A" is not valid: write a name, prefix/,
      ],
      [['create', 'a', '--repository', '*', '--mode', 'x'], 2, /^terrace: --mode "x" .* ReadOnly or Read/],
      [
        ['deactivate', 'nobody'],
        1,
        /^terrace: child nobody does not exist: list the children with "terrace child list"/,
      ],
    ];
    for (const [parameters, code, pattern] of full ? rows : rows.slice(1, 3)) {
      const found = await runChild(...parameters);
      assert.match(found.text, pattern);
      assert.equal(found.code, code);
    }
  });
});

test('a ReadOnly layer has only ReadOnly children, and while no layer runs, its mode is unknown', async () => {
  await using layer = await testLayer({ name: 'middle', mode: 'ReadOnly', compact: 'hosted' });
  const create = (...parameters: string[]) =>
    runCommandHere('child', 'create', 'line-1', '--repository', '*', ...parameters, '--data', layer.data);
  const refused = await create('--mode', 'ReadWrite');
  assert.equal(refused.code, 1);
  assert.match(
    refused.text,
    /^terrace: child line-1 can't be ReadWrite, because this layer is ReadOnly: create it with --mode ReadOnly/,
  );
  assert.equal((await create()).code, 0, 'the refused child was not created');

  const folder = await mkdtemp(join(tmpdir(), 'terrace-child-'));
  try {
    const data = join(folder, 'data');
    const unknown = await runCommandHere(
      ...['child', 'create', 'line-1', '--repository', '*', '--mode', 'Registry', '--data', data],
    );
    assert.equal(unknown.code, 1);
    assert.match(unknown.text, /is known only while it runs: start the layer with "terrace up" first/);
    const created = await runCommand('child', 'create', 'line-1', '--repository', '*', '--data', data);
    assert.equal(created.code, 0, created.text);
    assert.ok(existsSync(join(data, 'metadata')));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
