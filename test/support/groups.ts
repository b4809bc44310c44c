import { graphOf, imports, reachedFrom, sources } from './imports.ts';

/**
 * Test files that run in one process, one after the other, each group by a file of test/groups/: loading the modules of
 * a service takes a process longer than most files need for their tests.
 */

export const tests = sources.filter((file) => /^test\/(?!engine\/).*\.test\.ts$/.test(file));

/** Tests that can't start a process: their imports at run time don't reach `node:child_process`. */
function unitTests(): string[] {
  const runtimeImports = graphOf(imports.filter(({ typesOnly }) => !typesOnly));
  return tests.filter((file) => !reachedFrom(file, runtimeImports).has('node:child_process'));
}

/** Folders, or beginnings of files, whose tests start few processes of their own. */
const folders: Record<string, string[]> = {
  'gateway-access': ['test/gateway/auth/', 'test/gateway/audit/'],
  'gateway-api': ['test/gateway/api/'],
  'gateway-children': ['test/gateway/children/'],
  'gateway-content': ['test/gateway/content/'],
  'gateway-http': ['test/gateway/http/', 'test/gateway/metrics/', 'test/gateway/page/', 'test/gateway/tls/'],
  'storage-content': ['test/storage/content/'],
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
  'syncer-link': ['test/syncer/link/', 'test/syncer/parent-tasks/', 'test/syncer/notify/'],
  'syncer-passes': ['test/syncer/coordinator/', 'test/syncer/schedule/'],
  'syncer-reconcile': ['test/syncer/reconcile/'],
};

/** The files of each group, by its name. */
export function groupedTests(): { unit: string[] } & Record<string, string[]> {
  const unit = unitTests();
  const others = tests.filter((file) => !unit.includes(file));
  const within = (paths: string[]) => others.filter((file) => paths.some((path) => file.startsWith(path)));
  const byFolder = Object.entries(folders).map(([name, paths]) => [name, within(paths)] as const);
  return { unit, ...Object.fromEntries(byFolder) };
}
