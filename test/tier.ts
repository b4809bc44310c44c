import { spawnSync } from 'node:child_process';
import { git, graphOf, imports, reachedFrom, root, sources } from './support/imports.ts';

/**
 * Runs some of the tests: `node test/tier.ts unit`, those that start no process; `node test/tier.ts changed
 * [REF]`, those whose imports reach a file that differs from REF (by default from the last commit). Further parameters
 * go to node.
 */

const tests = sources.filter((file) => /^test\/(?!engine\/).*\.test\.ts$/.test(file));

/** Tests that can't start a process: their imports at run time don't reach `node:child_process`. */
function unitTests(): string[] {
  const runtimeImports = graphOf(imports.filter(({ typesOnly }) => !typesOnly));
  return tests.filter((file) => !reachedFrom(file, runtimeImports).has('node:child_process'));
}

function changedTests(ref: string): string[] {
  const changed = new Set([
    ...git('diff', '--name-only', '--diff-filter=d', ref),
    ...git('ls-files', '--others', '--exclude-standard'),
  ]);
  const edges = graphOf(imports);
  const isReached = (file: string) =>
    changed.has(file) || [...reachedFrom(file, edges)].some((imported) => changed.has(imported));
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
  const options = ['--test-timeout=1200000', '--test-concurrency=5', '--import=./test/support/end.ts'];
  const hasReporter = rest.some((parameter) => parameter.startsWith('--test-reporter'));
  if (tier === 'unit' && !hasReporter) options.push('--test-reporter=dot');
  if (tier === 'changed') options.push('--test-global-setup=test/support/prepare.ts');
  const { status } = spawnSync(process.execPath, ['--test', ...options, ...rest, ...chosen], {
    cwd: root,
    stdio: 'inherit',
  });
  process.exit(status ?? 1);
}
