import { run } from '../process/run.ts';
import { startSyncer } from './start.ts';

await run({ syncer: startSyncer });
