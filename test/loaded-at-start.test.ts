import assert from 'node:assert/strict';
import { test } from 'node:test';
import { graphOf, imports, product, reachedFrom } from './support/imports.ts';

/**
 * What a process loads at its start: all that its entry file reaches by static imports. Loading takes most of the time
 * of a start, and much of the memory of an idle process, so what only some layers need is imported on demand, and what
 * is needed later is imported then.
 */

const atStart = graphOf(
  imports.filter(({ from, typesOnly, onDemand }) => product.includes(from) && !typesOnly && !onDemand),
);
const loadedBy = (entry: string) => [entry, ...reachedFrom(entry, atStart)].sort();
const isPackage = (name: string) => !name.startsWith('node:') && !product.includes(name);

const SERVICE = ['@msgpack/msgpack', 'nats', 'pino'];
/** The bus only once a layer is found, or its processes are started. */
const COMMAND = ['@msgpack/msgpack', 'commander'];

/** Packages by entry file. All others are loaded on demand, by those who need them. */
const packages: Record<string, string[]> = {
  'services/gateway/main.ts': [...SERVICE, 'fastify'],
  'services/storage/main.ts': [...SERVICE, 'croner', 'level'],
  'services/syncer/main.ts': SERVICE,
  'services/twin-bridge/main.ts': [...SERVICE, 'croner'],
  'services/compact.ts': [...SERVICE, 'croner', 'fastify', 'level'],
  'cli/commands/program.ts': ['commander'],
  'cli/commands/run/up.ts': [...COMMAND, 'croner'],
  'cli/commands/observe/status.ts': [...COMMAND, 'croner'],
  'cli/commands/accounts/token.ts': [...COMMAND, 'nats'],
};

for (const [entry, expected] of Object.entries(packages)) {
  test(`${entry} loads only the packages that it needs at once`, () => {
    assert.deepEqual(loadedBy(entry).filter(isPackage), [...expected].sort());
  });
}

test('a syncer loads what it needs for a parent once the configuration names one', () => {
  const loaded = loadedBy('services/syncer/service.ts');
  const parts = /^services\/syncer\/(reconcile\/pass|link\/parent\/client-cache)\.ts$/;
  assert.deepEqual(
    loaded.filter((file) => file === 'undici' || parts.test(file)),
    [],
  );
});

test('a syncer loads OpenTelemetry only where traces are on, also once the configuration names a parent', () => {
  const loaded = [
    ...loadedBy('services/syncer/service.ts'),
    ...loadedBy('services/syncer/reconcile/pass.ts'),
  ];
  assert.deepEqual(
    loaded.filter((file) => file.startsWith('@opentelemetry/') || file.endsWith('/open-telemetry.ts')),
    [],
  );
});

test('no source imports node:http or node:https: an import reads all exports, and so loads the undici of Node', () => {
  const wrong = imports.filter(
    ({ from, to, typesOnly }) => product.includes(from) && /^node:https?$/.test(to) && !typesOnly,
  );
  assert.deepEqual(
    wrong.map(({ from }) => from),
    [],
  );
});
