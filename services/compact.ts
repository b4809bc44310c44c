import { runGateway } from './gateway/service.ts';
import { run } from './process/run.ts';
import { runStorage } from './storage/service.ts';
import { startSyncer } from './syncer/start.ts';
import { runTwinBridge } from './twin-bridge/service.ts';

/** Runs a complete layer in one process. The services are not aware of it: each uses the bus, as its own user. */
await run({
  storage: runStorage,
  'twin-bridge': runTwinBridge,
  gateway: runGateway,
  syncer: startSyncer,
});
