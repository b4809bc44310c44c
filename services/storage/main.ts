import { run } from '../process/run.ts';
import { runStorage } from './service.ts';

await run({ storage: runStorage });
