import { graphOf, imports, reachedFrom, sources } from './imports.ts';

/**
 * Test files that run in one process, one after the other, each group by a file of test/groups/: loading the modules of
 * a service takes a process longer than most files need for their tests.
 */

export const tests = sources.filter((file) => /^test\/(?!engine\/).*\.test\.ts$/.test(file));

/** What starts a process: the last one a browser. */
const STARTERS = ['node:child_process', 'playwright-core'];

/** Tests that can't start a process: their imports at run time reach none of `STARTERS`. */
function unitTests(): string[] {
  const runtimeImports = graphOf(imports.filter(({ typesOnly }) => !typesOnly));
  return tests.filter((file) => {
    const reached = reachedFrom(file, runtimeImports);
    return !STARTERS.some((name) => reached.has(name));
  });
}

/** Folders, or beginnings of files, whose tests start few processes of their own. */
const folders: Record<string, string[]> = {
  bus: ['test/proto/bus/', 'test/proto/archive/', 'test/proto/document/', 'test/proto/jetstream/'],
  'cli-content': [
    ...['accounts/', 'archive/', 'audit', 'configuration/', 'content/', 'copy', 'declared', 'grammar'].map(
      (start) => `test/cli/commands/${start}`,
    ),
  ],
  'cli-layer': ['test/cli/connection/', 'test/cli/data/', 'test/cli/doctor/', 'test/cli/layer/'],
  'cli-sync': ['json', 'observe/', 'refusals', 'slow', 'status', 'sync/', 'upkeep/'].map(
    (start) => `test/cli/commands/${start}`,
  ),
  'cli-terminal': [
    'test/cli/completion/',
    'test/cli/input/',
    'test/cli/iotedge/',
    'test/cli/man/',
    'test/cli/terminal/',
  ],
  'e2e-azure': ['azure', 'iotedge', 'twin'].map((start) => `test/e2e/${start}`),
  'e2e-figures': ['metrics', 'monitor', 'traces', 'webhooks'].map((start) => `test/e2e/${start}`),
  'e2e-layers': [
    'below-path',
    'children',
    'feed',
    'folders',
    'migration',
    'pause',
    'renamed',
    'repair',
    'two',
    'update',
  ].map((start) => `test/e2e/${start}`),
  'gateway-access': ['test/gateway/auth/', 'test/gateway/audit/'],
  'gateway-api': ['test/gateway/api/'],
  'gateway-children': ['test/gateway/children/'],
  'gateway-content': ['test/gateway/content/'],
  'gateway-deltas': ['test/gateway/deltas/'],
  'gateway-http': ['test/gateway/http/', 'test/gateway/metrics/', 'test/gateway/page/', 'test/gateway/tls/'],
  house: [
    ...['boundaries', 'docs', 'durations', 'groups', 'loaded-at-start', 'patterns', 'style', 'units'].map(
      (name) => `test/${name}.test.ts`,
    ),
  ],
  'storage-archive': ['test/storage/archive/', 'test/storage/exchange/', 'test/storage/images/'],
  'storage-content': ['test/storage/content/'],
  'storage-deltas': ['test/storage/deltas/', 'test/storage/upgrade/'],
  'storage-records': [
    ...['test/storage/accounts/', 'test/storage/audit/', 'test/storage/history/', 'test/storage/leveldb/'],
    ...['test/storage/metadata/', 'test/storage/repositories/', 'test/storage/sync/'],
    ...['test/storage/syslog/'],
  ],
  'storage-care': ['test/storage/backup/', 'test/storage/maintenance/', 'test/storage/repair/'],
  'syncer-azure': ['test/syncer/azure/'],
  'syncer-below': ['below', 'more-below', 'mounts', 'projects', 'referrers-below', 'renamed'].map(
    (start) => `test/syncer/parents/${start}`,
  ),
  'syncer-deltas': [
    'test/syncer/delta/',
    ...['delta', 'small', 'upload-lease'].map((start) => `test/syncer/transfer/${start}`),
  ],
  'syncer-layer': [
    ...[
      'clock',
      'default',
      'faults',
      'packable',
      'parent',
      'passes',
      'push',
      'round',
      'selection',
      'settings',
    ],
  ].map((start) => `test/syncer/layer/${start}`),
  // The prefetcher has two files of tests that share a layer, which ends with the first of them.
  'syncer-link': [
    'test/syncer/link/',
    'test/syncer/notify/',
    ...['await', 'follower', 'history', 'prefetcher'].map((start) => `test/syncer/parent-tasks/${start}`),
  ],
  'syncer-passes': ['test/syncer/coordinator/', 'test/syncer/schedule/'],
  'syncer-reconcile': ['test/syncer/reconcile/'],
  'twin-bridge': ['test/twin-bridge/'],
};

/** The files of each group, by its name. */
export function groupedTests(): { unit: string[] } & Record<string, string[]> {
  const unit = unitTests();
  const others = tests.filter((file) => !unit.includes(file));
  const within = (paths: string[]) => others.filter((file) => paths.some((path) => file.startsWith(path)));
  const byFolder = Object.entries(folders).map(([name, paths]) => [name, within(paths)] as const);
  return { unit, ...Object.fromEntries(byFolder) };
}
