import { run } from '../process/run.ts';
import { runGateway } from './service.ts';

await run({ gateway: runGateway });
