import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { test } from 'node:test';
import {
  cyclesIn,
  files,
  graphOf,
  type Import,
  imports,
  product,
  sources,
  textOf,
} from './support/imports.ts';

/** Which file may import which, and which folder holds what: the rules of docs/design/ARCHITECTURE.md. */

const list = (found: Import[]) => found.map(({ from, to }) => `${from} imports ${to}`);
const productImports = imports.filter(({ from }) => product.includes(from));
const ownImports = productImports.filter(({ to }) => product.includes(to));

test('a service imports proto, services/process and itself', () => {
  const wrong = productImports.filter(({ from, to }) => {
    const [, own] = /^(services\/[^/]+)\//.exec(from) ?? [];
    return (
      own &&
      /^(services|cli|page|test|bench)\//.test(to) &&
      !to.startsWith(`${own}/`) &&
      !to.startsWith('services/process/')
    );
  });
  assert.deepEqual(list(wrong), []);
});

test('services/compact.ts imports only run.ts and the entry file of each service, and no file imports it or a main.ts', () => {
  const wrong = imports.filter(({ from, to }) =>
    from === 'services/compact.ts'
      ? !/^services\/(process\/run\.ts|(?!syncer)[^/]+\/service\.ts|syncer\/start\.ts)$/.test(to)
      : /^services\/(compact\.ts|[^/]+\/main\.ts)$/.test(to),
  );
  assert.deepEqual(list(wrong), []);
});

test('proto imports proto, and the command imports the command and proto', () => {
  const wrong = productImports.filter(({ from, to }) =>
    from.startsWith('proto/')
      ? /^(services|cli|page|test|bench)\//.test(to)
      : from.startsWith('cli/') && /^(services|page|test|bench)\//.test(to),
  );
  assert.deepEqual(list(wrong), []);
});

test('proto/delta imports itself and Node', () => {
  const wrong = productImports.filter(({ from, to }) => {
    return from.startsWith('proto/delta/') && !/^(proto\/delta\/|node:)/.test(to);
  });
  assert.deepEqual(list(wrong), []);
});

test('the page imports itself, types of proto and what runs in a browser', () => {
  const wrong = imports.filter(
    ({ from, to, typesOnly }) =>
      from.startsWith('page/') &&
      from !== 'page/build.ts' &&
      !/^(page\/|preact$|@preact\/signals$|uplot$)/.test(to) &&
      !(to.startsWith('proto/') && typesOnly) &&
      ![
        'proto/async/backoff.ts',
        'proto/contract/quantity-text.ts',
        'proto/sync/changes-to-push.ts',
        'proto/overview/last-known.ts',
      ].includes(to),
  );
  assert.deepEqual(list(wrong), []);
});

test('each package is imported only where it belongs', () => {
  const homes: Record<string, RegExp> = {
    nats: /^proto\/(bus\/connection|jetstream\/(appender|jetstream-store|pull))\.ts$/,
    '@msgpack/msgpack': /^proto\/contract\/contract\.ts$/,
    level: /^services\/storage\/(metadata\/(database|open-level)|repair\/(rebuilt-records|salvage))\.ts$/,
    'classic-level': /^services\/storage\/metadata\/metadata\.ts$/,
    xstate: /^services\/syncer\/(transfer|coordinator)\/(.+\.machine|.+-steps|run-transfer|coordinator)\.ts$/,
    semver: /^proto\/oci\/semver\.ts$|^services\/syncer\/reconcile\/select\//,
    re2js: /^proto\/oci\/tag-regex\.ts$/,
    fastify: /^services\/gateway\//,
    undici: /^(services\/syncer|cli\/doctor)\//,
    'ipaddr.js': /^proto\/http\/addresses\.ts$/,
    jose: /^services\/gateway\//,
    commander: /^cli\//,
    'cli-progress': /^cli\//,
    croner: /^(proto\/(document\/validation\/cron|schedule\/window)|services\/(syncer|storage)\/.+)\.ts$/,
    yaml: /^proto\/document\/resolve\/(resolve|positions)\.ts$/,
    pino: /^services\/process\/(run|watchdog|log-error)\.ts$/,
    '@azure/identity': /^services\/syncer\//,
    mqtt: /^services\/twin-bridge\//,
    '@opentelemetry/api': /^services\/process\/open-telemetry\.ts$/,
    '@opentelemetry/exporter-trace-otlp-http': /^services\/process\/open-telemetry\.ts$/,
    '@opentelemetry/resources': /^services\/process\/open-telemetry\.ts$/,
    '@opentelemetry/sdk-trace': /^services\/process\/open-telemetry\.ts$/,
    preact: /^page\//,
    '@preact/signals': /^page\//,
    uplot: /^page\/parts\/chart\.tsx$/,
    esbuild: /^page\/build\.ts$/,
  };
  const wrong = productImports.filter(({ from, to }) => homes[to] && !homes[to].test(from));
  assert.deepEqual(list(wrong), []);
});

test('only the main file of a service reads the environment', () => {
  const wrong = product.filter(
    (file) =>
      /^services\/(?!process\/)[^/]+\//.test(file) &&
      !file.endsWith('/main.ts') &&
      /process\.env/.test(textOf(file)),
  );
  assert.deepEqual(wrong, []);
});

test('the top level holds only entries that the design names', () => {
  const allowed = new Set(
    `services proto test cli page bench deploy docs package.json package-lock.json tsconfig.json biome.json
     docker-compose.yml Dockerfile README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md LICENSE .ci .gitignore
     .npmrc .dockerignore`.split(/\s+/),
  );
  const topLevel = [...new Set(files.map((file) => file.split('/')[0] as string))];
  assert.deepEqual(
    topLevel.filter((name) => !allowed.has(name)),
    [],
  );
  const services = [
    ...new Set(files.filter((file) => file.startsWith('services/')).map((file) => file.split('/')[1])),
  ];
  assert.deepEqual(services.sort(), ['compact.ts', 'gateway', 'process', 'storage', 'syncer', 'twin-bridge']);
});

/** Lists whose length a schema or the size of a manifest bounds. */
const BOUNDED_LISTS =
  /^services\/storage\/(content|repositories)\/(blobs|manifests|ingests)\.ts: .*\b(renew|hold|max)\(/;

/** A call takes about 100,000 arguments at most. */
test('no list of unbounded length is spread into the arguments of a call', () => {
  const spread =
    /\b(?:push|unshift|splice|concat|min|max|add|hold|renew|fromCharCode)\((?:[^(){}[\]\n]*,\s*)?\.\.\.(?!put\.|drop\.|\(mark\b)/;
  const wrong = product.flatMap((file) =>
    textOf(file)
      .split('\n')
      .filter((line) => spread.test(line) && !/\basync \w+\(\.\.\./.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  );
  assert.deepEqual(
    wrong.filter((line) => !BOUNDED_LISTS.test(line)),
    [],
  );
});

test('no imports go round in a circle, types included', () => {
  assert.deepEqual(cyclesIn(graphOf(ownImports)), []);
});

test('folders form a graph without circles', () => {
  assert.deepEqual(cyclesIn(graphOf(ownImports, dirname)), []);
});

const LONG_FILE_LINES = 300;
const MAX_FILE_LINES = 400;

test('no source is too long, tests and benchmarks included, and no file or folder has a catch-all name', (t) => {
  const lengths = sources.map((file) => ({
    file,
    lines: textOf(file).split('\n').length - 1,
  }));
  const longer = (than: number) => lengths.filter(({ lines }) => lines > than).map(({ file }) => file);
  for (const file of longer(LONG_FILE_LINES)) t.diagnostic(`${file} has more than ${LONG_FILE_LINES} lines`);
  assert.deepEqual(longer(MAX_FILE_LINES), []);
  const catchAlls = files.filter((file) =>
    /(^|\/)(common|lib|utils?|helpers?|types)(\.ts)?(\/|$)/.test(file),
  );
  assert.deepEqual(catchAlls, []);
});

test('a folder of the product holds 2 to 22 files', () => {
  const sizes = new Map<string, number>();
  for (const file of product) sizes.set(dirname(file), (sizes.get(dirname(file)) ?? 0) + 1);
  const wrong = [...sizes].filter(([folder, size]) => folder !== 'services' && (size < 2 || size > 22));
  assert.deepEqual(wrong, []);
});
