import { run } from '../process/run.ts';
import { runTwinBridge } from './service.ts';

await run({ 'twin-bridge': runTwinBridge });
