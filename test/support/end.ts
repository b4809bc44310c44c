import { after } from 'node:test';

/**
 * Preloaded (`--import`) by each test file: a process with open handles exits some time after its last test, in ms. By
 * then all results have been reported; `--test-force-exit` does not wait for that.
 */
const OPEN_HANDLES_MS = 60_000;

/** Sentences of the command are not wrapped, so that a test finds them whole. */
process.env.COLUMNS = '10000';

if (process.env.NODE_TEST_CONTEXT !== undefined) {
  after(() => {
    setTimeout(() => {
      console.error(`open handles: ${process.getActiveResourcesInfo().join(', ')}`);
      process.exit();
    }, OPEN_HANDLES_MS).unref();
  });
}
