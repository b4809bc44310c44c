import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

/** Who may import whom, and what lies where. These rules keep the picture in the README true. */

const root = join(import.meta.dirname, '..');
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter(Boolean);
const sources = files.filter((file) => file.endsWith('.ts'));
const product = sources.filter((file) => !/^(test|bench)\//.test(file));

type Import = { from: string; to: string };

/** A file of the project by its path, a package by its name. */
const imports: Import[] = sources.flatMap((from) => {
  const text = readFileSync(join(root, from), 'utf8');
  const names = [...text.matchAll(/(?:^|\n)(?:import|export)[^'";]*?['"]([^'"\n]+)['"]/g)].map(
    (found) => found[1],
  );
  const dynamic = [...text.matchAll(/\bimport\(\s*['"]([^'"\n]+)['"]/g)].map((found) => found[1]);
  return [...names, ...dynamic].map((name) => ({ from, to: resolve(from, name as string) }));
});

function resolve(from: string, name: string): string {
  if (name.startsWith('#proto/')) return name.slice(1);
  if (name.startsWith('.')) return relative(root, join(root, dirname(from), name));
  if (name.startsWith('node:')) return name;
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
}

const list = (found: Import[]) => found.map(({ from, to }) => `${from} imports ${to}`);
const productImports = imports.filter(({ from }) => product.includes(from));

test('a service imports proto, services/run.ts and itself', () => {
  const wrong = productImports.filter(({ from, to }) => {
    const [, own] = /^(services\/[^/]+)\//.exec(from) ?? [];
    return (
      own && /^(services|cli|test|bench)\//.test(to) && !to.startsWith(`${own}/`) && to !== 'services/run.ts'
    );
  });
  assert.deepEqual(list(wrong), []);
});

test('services/compact.ts imports what a service is, and nobody imports it or a main file', () => {
  const wrong = imports.filter(({ from, to }) =>
    from === 'services/compact.ts'
      ? !/^services\/(run\.ts|[^/]+\/service\.ts)$/.test(to)
      : /^services\/(compact\.ts|[^/]+\/main\.ts)$/.test(to),
  );
  assert.deepEqual(list(wrong), []);
});

test('proto imports proto, and the command imports the command and proto', () => {
  const wrong = productImports.filter(({ from, to }) =>
    from.startsWith('proto/')
      ? /^(services|cli|test|bench)\//.test(to)
      : from.startsWith('cli/') && /^(services|test|bench)\//.test(to),
  );
  assert.deepEqual(list(wrong), []);
});

test('each package is known to the place that it belongs to', () => {
  const homes: Record<string, RegExp> = {
    nats: /^proto\/(bus|jetstream-store|pull)\.ts$/,
    '@msgpack/msgpack': /^proto\/contract\.ts$/,
    level: /^services\/storage\/(database|repair\/(records|salvage))\.ts$/,
    'classic-level': /^services\/storage\/metadata\.ts$/,
    xstate: /^services\/syncer\/(transfer\/)?(.+\.machine|.+-steps|worker|coordinator)\.ts$/,
    semver: /^services\/syncer\/reconcile\/|^proto\/selection-complaints\.ts$|^cli\/nats-advisories\.ts$/,
    re2js: /^proto\/tag-regex\.ts$/,
    fastify: /^services\/gateway\//,
    undici: /^services\/syncer\//,
    'ipaddr.js': /^services\/syncer\/link\/addresses\.ts$/,
    jose: /^services\/gateway\//,
    commander: /^cli\//,
    'cli-progress': /^cli\//,
    croner: /^(proto\/link-complaints|services\/(syncer|storage)\/.+)\.ts$/,
    yaml: /^proto\/document\.ts$/,
    pino: /^services\/(run|watchdog)\.ts$/,
    '@azure/identity': /^services\/syncer\//,
    mqtt: /^services\/twin-bridge\//,
  };
  const wrong = productImports.filter(({ from, to }) => homes[to] && !homes[to].test(from));
  assert.deepEqual(list(wrong), []);
});

test('only the main file of a service reads the environment', () => {
  const wrong = product.filter(
    (file) =>
      /^services\/[^/]+\//.test(file) &&
      !file.endsWith('/main.ts') &&
      /process\.env/.test(readFileSync(join(root, file), 'utf8')),
  );
  assert.deepEqual(wrong, []);
});

test('the top level holds what the design names', () => {
  const allowed = new Set(
    `services proto test cli bench deploy docs package.json package-lock.json tsconfig.json biome.json
     docker-compose.yml Dockerfile README.md LICENSE .ci .gitignore .npmrc`.split(/\s+/),
  );
  const there = [...new Set(files.map((file) => file.split('/')[0] as string))];
  assert.deepEqual(
    there.filter((name) => !allowed.has(name)),
    [],
  );
  const services = [
    ...new Set(files.filter((file) => file.startsWith('services/')).map((file) => file.split('/')[1])),
  ];
  assert.deepEqual(services.sort(), [
    'compact.ts',
    'gateway',
    'health.ts',
    'run.ts',
    'storage',
    'syncer',
    'twin-bridge',
    'watchdog-thread.ts',
    'watchdog.ts',
  ]);
});

/** Lists that a schema, or the size of a manifest, keeps short. */
const SHORT_LISTS = /^services\/storage\/(blobs|manifests|ingests)\.ts: .*\b(renew|hold|max)\(/;

test('no list of any length is spread into a call, which takes some 100,000 arguments at most', () => {
  const spread =
    /\b(?:push|unshift|splice|concat|min|max|add|hold|renew|fromCharCode)\((?:[^(){}[\]\n]*,\s*)?\.\.\.(?!put\.|drop\.|\(mark\b)/;
  const wrong = product.flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .split('\n')
      .filter((line) => spread.test(line) && !/\basync \w+\(\.\.\./.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  );
  assert.deepEqual(
    wrong.filter((line) => !SHORT_LISTS.test(line)),
    [],
  );
});

test('no file of the product is long, and none is a drawer for what has no name', () => {
  const long = product.filter((file) => readFileSync(join(root, file), 'utf8').split('\n').length > 301);
  assert.deepEqual(long, []);
  const drawers = files.filter((file) => /(^|\/)(common|lib|utils?|helpers?|types)(\.ts)?(\/|$)/.test(file));
  assert.deepEqual(drawers, []);
});
