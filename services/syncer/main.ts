import { run } from '../process/run.ts';
import { runSyncer } from './service.ts';

await run({ syncer: runSyncer });
