import { run } from '../process/run.ts';
import { storage } from './service.ts';

await run({ storage });
