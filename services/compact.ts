import { runGateway } from './gateway/service.ts';
import { run } from './process/run.ts';
import { runStorage } from './storage/service.ts';
import { runSyncer } from './syncer/service.ts';
import { runTwinBridge } from './twin-bridge/service.ts';

/** Runs a complete layer in one process. The services are not aware of it: each uses the bus, as its own user. */
await run({
  storage: runStorage,
  'twin-bridge': runTwinBridge,
  gateway: runGateway,
  syncer: runSyncer,
});
