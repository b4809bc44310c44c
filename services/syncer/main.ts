import { run } from '../process/run.ts';
import { syncer } from './service.ts';

await run({ syncer });
