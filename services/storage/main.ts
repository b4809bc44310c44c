import { run } from '../run.ts';
import { storage } from './service.ts';

await run({ storage });
