import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { assemble } from '../../../deploy/program/assemble.ts';
import { isNeeded } from '../../../deploy/program/needed-files.ts';
import { productionPackages } from '../../../deploy/program/production-packages.ts';

/** The program as the package and the image have it. */

const project = join(import.meta.dirname, '../../..');
let folder: string;
let installed: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrace-program-'));
  const target = join(folder, 'parts');
  await assemble({ project, target, architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' });
  installed = join(folder, 'installed');
  const parts = ['runtime', 'dependencies', 'page', 'code'];
  for (const part of parts) await cp(join(target, part), installed, { recursive: true });
});
after(() => rm(folder, { recursive: true, force: true }));

const node = (...parameters: string[]) =>
  spawnSync(join(installed, 'bin/node'), parameters, { cwd: installed, encoding: 'utf8' });

test('all packages that the program imports load from the files that are left', () => {
  const packages = new Set<string>();
  for (const file of globSync('{proto,services,cli}/**/*.ts', { cwd: installed })) {
    const text = readFileSync(join(installed, file), 'utf8');
    // Not of types, and not of Node or of the program itself.
    for (const [, name] of text.matchAll(
      /^(?!import type|export type).*(?:from |import\()'(?!node:|[.#])([^']+)'/gm,
    ))
      packages.add(name as string);
  }
  assert.ok(packages.has('fastify') && packages.has('@azure/identity'), [...packages].join());
  const all = [...packages];
  const load = `for (const name of ${JSON.stringify(all)}) await import(name);
    const { ManagedIdentityCredential, WorkloadIdentityCredential, ClientSecretCredential } = await import('@azure/identity');
    new ManagedIdentityCredential(); new ClientSecretCredential('t', 'c', 's');
    new WorkloadIdentityCredential({ tenantId: 't', clientId: 'c', tokenFilePath: '/f' });`;
  const { status, stderr } = node('--input-type=module', '--eval', load);
  assert.equal(status, 0, stderr);
});

test('the command runs with the Node that comes with it', () => {
  const env = { PATH: '/usr/bin:/bin' };
  const { status, stdout } = spawnSync(join(installed, 'cli/terrace'), ['--help'], { env, encoding: 'utf8' });
  assert.equal(status, 0);
  assert.match(stdout, /a connected container registry/);
});

test('each package keeps its licence, and development packages are absent', () => {
  const lock = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8'));
  for (const { folder: path } of productionPackages(lock)) {
    const hasLicence =
      globSync(`${path}/{LICENSE,LICENCE,license,licence,COPYING}*`, { cwd: project }).length > 0;
    if (!hasLicence || !existsSync(join(installed, path))) continue;
    assert.ok(
      globSync(`${path}/{LICENSE,LICENCE,license,licence,COPYING}*`, { cwd: installed }).length > 0,
      path,
    );
  }
  for (const name of ['typescript', 'esbuild', 'playwright-core', '.package-lock.json', '@types']) {
    assert.ok(!existsSync(join(installed, 'node_modules', name)), name);
  }
});

const files: [string, boolean][] = [
  ['fastify/fastify.js', true],
  ['fastify/LICENSE', true],
  ['fastify/test/a.test.js', false],
  ['fastify/types/reply.d.ts', false],
  ['pino/package.json', true],
  ['pino/docs/api.md', false],
  ['classic-level/prebuilds/linux-x64/classic-level.node', true],
  ['classic-level/prebuilds/linux-x64/classic-level.musl.node', false],
  ['classic-level/prebuilds/linux-arm64/classic-level.armv8.node', false],
  ['@azure/identity/dist/commonjs/index.js', true],
  ['@azure/identity/dist/browser/index.js', false],
  ['@azure/msal-browser/lib/index.js', false],
  ['ajv/node_modules/fast-uri/index.js', true],
  ['ajv/node_modules/fast-uri/test/parse.test.js', false],
];

for (const [path, expected] of files) {
  test(`${path} is ${expected ? 'part of' : 'not part of'} the program for amd64`, () => {
    assert.equal(isNeeded(path, 'amd64'), expected);
  });
}
