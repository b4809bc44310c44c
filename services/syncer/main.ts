import { run } from '../run.ts';
import { syncer } from './service.ts';

await run({ syncer });
