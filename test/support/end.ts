import { after } from 'node:test';

/**
 * Loaded before each test file: one that leaves something open ends all the same, a while after its last test, when all
 * that it found has been told. (`--test-force-exit` does not wait for that.)
 */
const LEFT_OPEN_MS = 60_000;

if (process.env.NODE_TEST_CONTEXT !== undefined) {
  after(() => {
    setTimeout(() => {
      console.error(`left open: ${process.getActiveResourcesInfo().join(', ')}`);
      process.exit();
    }, LEFT_OPEN_MS).unref();
  });
}
