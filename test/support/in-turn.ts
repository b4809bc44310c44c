import { join } from 'node:path';
import { after, describe, mock } from 'node:test';
import { groupedTests } from './groups.ts';
import { root } from './imports.ts';

/**
 * Loads and runs the test files of a group one after the other. Each is a suite: hooks at the top level of a file apply
 * to its own tests. What a file mocks, or sets in the environment, ends with it.
 */
export async function runInTurn(group: string): Promise<void> {
  const environment = { ...process.env };
  for (const file of groupedTests()[group] ?? []) {
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
