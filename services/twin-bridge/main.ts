import { run } from '../process/run.ts';
import { twinBridge } from './service.ts';

await run({ 'twin-bridge': twinBridge });
