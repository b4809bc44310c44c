import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runTask } from '../../../services/syncer/delta/jobs/run-task.ts';
import { noise } from '../../proto/delta/blobs.ts';
import { digestOf } from '../../storage/samples.ts';
import { quiet } from '../../support/bus.ts';

/** Makes deltas until it is killed: the program of a test. Its argument is a folder. */

const [, , folder = mkdtempSync(join(tmpdir(), 'terrace-orphan-'))] = process.argv;
const content = (seed: number) => {
  const bytes = noise(4_000_000, seed);
  const path = join(folder, `${seed}`);
  writeFileSync(path, bytes);
  return { digest: digestOf(bytes), size: bytes.length, path };
};
const [target, candidate] = [content(1), content(2)];
const limits = { timeMs: 600_000, memoryBytes: 2 ** 30, scratchBytes: 2 ** 30, reserveBytes: 1 };
for (;;) {
  await runTask(
    {
      kind: 'make',
      ...{ target, candidates: [candidate], sketches: folder, refused: [] },
      ...{ maxBases: 4, maxShare: 0.85, scratch: folder, limits },
    },
    { env: process.env, signal: new AbortController().signal, log: quiet, onBytes: async () => {} },
  );
}
