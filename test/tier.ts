import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { groupedTests, tests } from './support/groups.ts';
import { git, graphOf, imports, reachedFrom, root } from './support/imports.ts';
import { GROUPS } from './support/in-turn.ts';

/**
 * Runs tests: `node test/tier.ts all`; `node test/tier.ts unit`, those that start no process; `node test/tier.ts
 * changed [REF]`, those whose imports reach a file that differs from REF (by default from the last commit), each in a
 * process of its own. Further parameters go to node.
 */

/** Options that leave out tests: a group would wait for the end of a file without any. */
const FILTER = /^--test-(only|name-pattern|skip-pattern)/;

type Tier = { count: number; files: string[]; groups?: Record<string, string[]> };

/** All tests, the grouped ones in the process of their group. */
function allTests(isFiltered: boolean): Tier {
  const count = tests.length;
  const engine = 'test/engine/*.test.ts';
  if (isFiltered) return { count, files: [...tests, engine] };
  const groups = groupedTests();
  const grouped = new Set(Object.values(groups).flat());
  const single = tests.filter((file) => !grouped.has(file));
  // Node starts files in the order of their names. Groups take longest, and absolute names come first.
  const entries = Object.keys(groups).map((group) => join(root, entryOf(group)));
  return { count, files: [...entries, ...single, engine], groups };
}

function unitTests(isFiltered: boolean): Tier {
  const { unit } = groupedTests();
  if (isFiltered) return { count: unit.length, files: unit };
  return { count: unit.length, files: [entryOf('unit')], groups: { unit } };
}

const entryOf = (group: string): string => `test/groups/${group}.ts`;

function changedTests(ref: string): Tier {
  const changed = new Set([
    ...git('diff', '--name-only', '--diff-filter=d', ref),
    ...git('ls-files', '--others', '--exclude-standard'),
  ]);
  const edges = graphOf(imports);
  const isReached = (file: string) =>
    changed.has(file) || [...reachedFrom(file, edges)].some((imported) => changed.has(imported));
  const files = tests.filter(isReached);
  return { count: files.length, files };
}

const [tier, ...rest] = process.argv.slice(2);
const ref = rest[0]?.startsWith('-') === false ? rest.shift() : undefined;
const isFiltered = rest.some((parameter) => FILTER.test(parameter));
const chosen =
  tier === 'all'
    ? allTests(isFiltered)
    : tier === 'unit'
      ? unitTests(isFiltered)
      : tier === 'changed'
        ? changedTests(ref ?? 'HEAD')
        : undefined;
if (!chosen) {
  console.error('node test/tier.ts all | unit | changed [REF]');
  process.exit(64);
}
console.log(`${chosen.count} of ${tests.length} test files`);
if (chosen.count > 0) {
  const options = ['--test-timeout=1200000', '--test-concurrency=5', '--import=./test/support/end.ts'];
  const hasReporter = rest.some((parameter) => parameter.startsWith('--test-reporter'));
  if (!hasReporter) options.push(`--test-reporter=${tier === 'unit' ? 'dot' : 'spec'}`);
  if (tier !== 'unit') options.push('--test-global-setup=test/support/prepare.ts');
  const { status } = spawnSync(process.execPath, ['--test', ...options, ...rest, ...chosen.files], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, [GROUPS]: chosen.groups && JSON.stringify(chosen.groups) },
  });
  process.exit(status ?? 1);
}
