import { run } from '../process/run.ts';
import { gateway } from './service.ts';

await run({ gateway });
