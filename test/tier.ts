import { spawnSync } from 'node:child_process';
import { git, graphOf, imports, reachedFrom, root, sources } from './support/imports.ts';

/**
 * Runs some of the tests: `node test/tier.ts unit`, those that start no process; `node test/tier.ts changed
 * [REF]`, those whose imports reach a file that differs from REF (by default from the last commit). Further parameters
 * go to node.
 */

const tests = sources.filter((file) => /^test\/(?!engine\/).*\.test\.ts$/.test(file));

/** A test that starts a process, or has something started, imports what can. */
function unitTests(): string[] {
  const running = graphOf(imports.filter(({ typesOnly }) => !typesOnly));
  return tests.filter((file) => !reachedFrom(file, running).has('node:child_process'));
}

function changedTests(ref: string): string[] {
  const changed = new Set([
    ...git('diff', '--name-only', '--diff-filter=d', ref),
    ...git('ls-files', '--others', '--exclude-standard'),
  ]);
  const edges = graphOf(imports);
  const isReached = (file: string) =>
    changed.has(file) || [...reachedFrom(file, edges)].some((one) => changed.has(one));
  return tests.filter(isReached);
}

const [tier, ...rest] = process.argv.slice(2);
const ref = rest[0]?.startsWith('-') === false ? rest.shift() : undefined;
const chosen = tier === 'unit' ? unitTests() : tier === 'changed' ? changedTests(ref ?? 'HEAD') : undefined;
if (!chosen) {
  console.error('node test/tier.ts unit | changed [REF]');
  process.exit(64);
}
console.log(`${chosen.length} of ${tests.length} test files`);
if (chosen.length > 0) {
  const how = ['--test-timeout=1200000', '--import=./test/support/end.ts'];
  const hasReporter = rest.some((parameter) => parameter.startsWith('--test-reporter'));
  if (tier === 'unit' && !hasReporter) how.push('--test-reporter=dot');
  if (tier === 'changed') how.push('--test-concurrency=5', '--test-global-setup=test/support/prepare.ts');
  const { status } = spawnSync(process.execPath, ['--test', ...how, ...rest, ...chosen], {
    cwd: root,
    stdio: 'inherit',
  });
  process.exit(status ?? 1);
}
