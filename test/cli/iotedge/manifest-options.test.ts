import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { verifyPassword } from '#proto/accounts/password-hash.ts';
import { manifestComplaints } from '../../../cli/iotedge/iotedge-check.ts';
import type { LayerKind } from '../../../cli/iotedge/iotedge-manifest.ts';
import { type GivenOptions, optionComplaints } from '../../../cli/iotedge/manifest-options.ts';
import { runCommandHere } from '../../support/command-line.ts';
import { agentOf } from './examples.ts';

/** Options of `terrace iotedge manifest`: what is not valid is refused before anything is printed. */

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-manifest-'));
});
after(() => rm(folder, { recursive: true }));

const VALID: GivenOptions = {
  name: 'plant',
  port: '8000',
  folder: '/srv/iotedge',
  user: '10001:10001',
  edge: '1.6',
  repository: ['*'],
  mode: 'ReadOnly',
  challenge: 'Basic',
  desired: true,
};

/** @param files text by path */
function complaintsOf(
  layer: LayerKind,
  more: Partial<GivenOptions>,
  files: Record<string, string> = {},
): string[] {
  const given = { ...VALID, ...(layer === 'top' && { parent: 'contoso.azurecr.io' }), ...more };
  const isGiven = (option: keyof GivenOptions) => option in more;
  const readFile = (path: string) => {
    const text = files[path];
    return text === undefined ? { cause: 'ENOENT' } : { text };
  };
  return optionComplaints({ layer, given, isGiven, readFile }).complaints;
}

test('each option that is not valid is refused with a remedy', () => {
  const rows: [layer: LayerKind, options: Partial<GivenOptions>, complaint: RegExp][] = [
    ...['abc', '0', '-1', '65536', '1.5', '08000', '', ' 8000', '1e3', 'NaN'].map(
      (port) => ['nested', { port }, /^--port ".*" is not valid: write a port from 1 to 65535/] as never,
    ),
    ...['5671', '8883'].map(
      (port) => ['nested', { port }, /^--port ".*" is not valid: edgeHub uses it/] as never,
    ),
    ...['Foo', 'readonly', 'Mirror', ''].map(
      (mode) => ['nested', { mode }, /^--mode ".*" is not valid: write ReadOnly or ReadWrite$/] as never,
    ),
    ...['BAD*X', '', 'Line/*', '*/line', 'line/**', 'line/', 'line/app:1', '/line', 'a=b=c', 'a=', '=b'].map(
      (one) =>
        [
          'nested',
          { repository: ['*', one] },
          /^--repository ".*" is not valid: write a repository/,
        ] as never,
    ),
    ...['https://contoso.azurecr.io', 'HTTP://contoso'].map(
      (parent) =>
        ['top', { parent }, /^--parent ".*" is not valid: write host or host:port, without https/] as never,
    ),
    ...[
      'contoso/line',
      'user:pw@contoso',
      'contoso:',
      'contoso:0',
      'contoso:99999',
      'a;b',
      'a b',
      '-a',
      '$X:1',
    ].map(
      (parent) =>
        ['top', { parent }, /^--parent ".*" is not valid: write host or host:port, without path/] as never,
    ),
    [
      'top',
      { parent: 'contoso.westeurope.data.azurecr.io' },
      /^--parent ".*" is not valid: it is a data endpoint/,
    ],
    ['top', { parent: '' }, /^--parent is missing: name the registry above/],
    ['nested', { parent: 'contoso.azurecr.io' }, /^--parent has no effect in a nested layer: leave it out$/],
    ...['a;b', 'Plant', 'a=b', '', '-a', 'a_b', 'x'.repeat(64), 'a\nb'].map(
      (name) =>
        ['nested', { name }, /^--name ".*" is not valid: use lower-case letters, digits and -/] as never,
    ),
    ...['a;b', 'a=b', 'a b', '', '.a', 'x'.repeat(65)].map(
      (token) => ['nested', { token }, /^--token ".*" is not valid: use letters, digits and \. _ -/] as never,
    ),
    ...['https://host/terrace', 'host/Terrace:1', 'a b', '', '$upstream/terrace:1'].map(
      (image) => ['nested', { image }, /^--image .*(?:is not valid|without a port|is missing)/] as never,
    ),
    [
      'nested',
      { image: '$upstream:9000/terrace:1' },
      /^--image ".*" is not valid: the proxies of all layers/,
    ],
    [
      'top',
      { image: '$upstream:8000/terrace:1' },
      /^--image ".*" is not valid: there is no layer above the top/,
    ],
    ...['srv', '', '/a:b', '/a\nb', 'C:\\data', `/${'x'.repeat(2_000)}`].map(
      (path) => ['nested', { folder: path }, /^--folder ".*" is not valid: write an absolute path/s] as never,
    ),
    ...['root', '10001', '1:2:3', '-1:0', '4294967295:0', ''].map(
      (user) => ['nested', { user }, /^--user ".*" is not valid: write uid:gid as numbers/] as never,
    ),
    ...['', '1.6:x', 'a b', '.6', '@sha256:0'].map(
      (edge) => ['nested', { edge }, /^--edge ".*" is not valid: write a tag/] as never,
    ),
    ['nested', { challenge: 'Digest' }, /^--challenge "Digest" is not valid: write Basic or Bearer$/],
    ...['Line', '', 'a;b'].map(
      (child) => ['top', { child: [child] }, /^--child ".*" is not valid: write NAME or NAME=FILE/] as never,
    ),
    ['top', { child: ['line-1', 'line-1'] }, /^--child line-1 is given twice/],
    ['top', { child: ['plant'] }, /^--child plant is the name of the layer itself/],
    [
      'top',
      { child: ['line-1=missing'] },
      /^--child line-1: "missing" can't be read \(ENOENT\): name another file$/,
    ],
    ['nested', { passwordFile: 'missing' }, /^--password-file "missing" can't be read \(ENOENT\)/],
    ...(['mode', 'repository', 'challenge', 'child', 'image', 'user', 'desired'] as const).map(
      (option) =>
        [
          'pass-through',
          { [option]: { ...VALID, image: 'terrace:1', child: ['line-1'] }[option] },
          new RegExp(`^--(?:no-)?${option} has no effect in a pass-through layer`),
        ] as never,
    ),
    ['nested', { desired: false, mode: 'ReadOnly' }, /^--mode has no effect with --no-desired/],
  ];
  for (const [layer, options, complaint] of rows) {
    const complaints = complaintsOf(layer, options);
    assert.match(complaints.join('\n'), complaint, JSON.stringify(options));
    assert.equal(complaints.length, 1, complaints.join('\n'));
  }
});

test('a password that a connection string loses or misreads is refused, and not shown', () => {
  for (const password of [
    'seCret;value-of-it',
    ' seCret-value-of-it',
    'seCret-value-of-it ',
    'seCret\nvalue-of-it',
    '',
    'seCret\tvalue-of-it',
    `seCret${'x'.repeat(1_100)}`,
  ]) {
    for (const options of [{ passwordFile: 'file' }, { child: ['line-1=file'] }]) {
      const complaints = complaintsOf('top', options, { file: password });
      assert.match(complaints.join('\n'), /^--(?:password-file|child line-1): the password /);
      assert.equal(complaints.length, 1);
      assert.doesNotMatch(complaints.join('\n'), /seCret/);
    }
  }
  for (const text of ['a+b/c=d$E"f\\g\u{fc}', 'some-password\r\n', '\uFEFFsome-password\n'])
    assert.deepEqual(
      complaintsOf('top', { passwordFile: 'file', child: ['line-1=file'] }, { file: text }),
      [],
    );
});

test('all complaints come at once, and nothing is printed', async () => {
  const refused = await runCommandHere(
    ...['iotedge', 'manifest', 'top', '--port', 'abc', '--mode', 'Foo', '--repository', 'BAD*X', 'b/*'],
    ...['--parent', 'https://contoso.azurecr.io', '--name', 'a;b', '--password-file', join(folder, 'none')],
  );
  assert.deepEqual([refused.code, refused.stdout], [2, '']);
  const lines = refused.text.trim().split('\n');
  assert.equal(lines.length, 6, refused.text);
  for (const option of ['port', 'mode', 'repository', 'parent', 'name', 'password-file'])
    assert.ok(
      lines.some((line) => line.startsWith(`terrace: --${option} `)),
      `${option}: ${refused.text}`,
    );
  assert.deepEqual(await readdir(folder), []);
});

test('with password files, the manifest is complete: the login of the layer, and the hash of each child', async () => {
  const [own, childs] = [join(folder, 'own'), join(folder, 'child')];
  await writeFile(own, 'p+ss/w0rd-of-plant==\n');
  await writeFile(childs, 'the-password-of-line-1\n');
  const made = await runCommandHere(
    ...[
      'iotedge',
      'manifest',
      'top',
      '--parent',
      'contoso.azurecr.io:5443',
      '--name',
      'plant',
      '--token',
      'Plant.sync',
    ],
    ...[
      '--image',
      'contoso.azurecr.io:5443/edge/terrace:1.2',
      '--mode',
      'ReadWrite',
      '--repository',
      'line/app',
    ],
    ...['--password-file', own, '--child', `line-1=${childs}`, '--challenge', 'Bearer'],
  );
  assert.equal(made.code, 0, made.text);
  assert.equal(made.text, made.stdout, 'no placeholder is left');
  const manifest = JSON.parse(made.stdout);
  assert.deepEqual(manifestComplaints(manifest), []);
  const { value } = agentOf(manifest).modules.terrace.env.ACR_REGISTRY_CONNECTION_STRING;
  assert.match(
    value,
    /;SyncTokenName=Plant\.sync;SyncTokenPassword=p\+ss\/w0rd-of-plant==;ParentGatewayEndpoint=contoso\.azurecr\.io:5443;/,
  );
  const { children, repositories, mode, challenge } = manifest.modulesContent.terrace['properties.desired'];
  assert.deepEqual([mode, challenge], ['ReadWrite', 'Bearer']);
  const images = ['azureiotedge-agent', 'azureiotedge-hub', 'azureiotedge-api-proxy', 'edge/terrace'];
  assert.deepEqual(repositories, ['line/app', ...images]);
  const [{ passwords, ...child }] = children;
  assert.deepEqual(child, { name: 'line-1', mode: 'ReadWrite', repositories });
  assert.ok(await verifyPassword('the-password-of-line-1', passwords[0]));
});

test('repositories that have another name in the layer have that name for the layers below', async () => {
  const made = await runCommandHere(
    ...['iotedge', 'manifest', 'top', '--parent', 'contoso.azurecr.io', '--name', 'plant'],
    ...['--repository', 'library/nginx=plant/nginx', 'edge/agent=azureiotedge-agent', '--child', 'line-1'],
  );
  assert.equal(made.code, 0, made.text);
  const { children, repositories } = JSON.parse(made.stdout).modulesContent.terrace['properties.desired'];
  const images = ['azureiotedge-hub', 'azureiotedge-api-proxy', 'terrace'];
  assert.deepEqual(repositories, [
    { from: 'library/nginx', as: 'plant/nginx' },
    { from: 'edge/agent', as: 'azureiotedge-agent' },
    ...images,
  ]);
  assert.deepEqual(children[0].repositories, ['plant/nginx', 'azureiotedge-agent', ...images]);
  const misfit = ['iotedge', 'manifest', 'nested', '--repository', 'library/*=plant'];
  const refused = await runCommandHere(...misfit);
  assert.deepEqual([refused.code, refused.stdout], [2, '']);
  assert.match(refused.text, /terrace\.repositories\.0\.as "plant" does not fit from "library\/\*"/);
});
