import { run } from '../run.ts';
import { gateway } from './service.ts';

await run({ gateway });
