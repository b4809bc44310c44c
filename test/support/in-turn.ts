import { join } from 'node:path';
import { after, describe, mock } from 'node:test';

const root = join(import.meta.dirname, '../..');

/** Environment variable by which test/tier.ts passes the files of each group, as JSON. */
export const GROUPS = 'TERRACE_TEST_GROUPS';

/**
 * Loads and runs the test files of a group one after the other. Each is a suite: hooks at the top level of a file apply
 * to its own tests. What a file mocks, or sets in the environment, ends with it.
 */
export async function runInTurn(group: string): Promise<void> {
  const members = await filesOf(group);
  const environment = { ...process.env };
  for (const file of members) {
    const ended = Promise.withResolvers<void>();
    describe(file, async () => {
      try {
        await import(join(root, file));
      } catch (error) {
        ended.resolve();
        throw error;
      }
      after(() => {
        mock.timers.reset();
        mock.reset();
        for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
        Object.assign(process.env, environment);
        ended.resolve();
      });
    });
    await ended.promise;
  }
}

/** Where tier.ts has not passed them, they are derived from all imports of the project. */
async function filesOf(group: string): Promise<string[]> {
  const passed = process.env[GROUPS];
  delete process.env[GROUPS];
  const groups = passed ? JSON.parse(passed) : (await import('./groups.ts')).groupedTests();
  return groups[group] ?? [];
}
