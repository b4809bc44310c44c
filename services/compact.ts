import { gateway } from './gateway/service.ts';
import { run } from './process/run.ts';
import { storage } from './storage/service.ts';
import { syncer } from './syncer/service.ts';
import { twinBridge } from './twin-bridge/service.ts';

/** Runs a complete layer in one process. The services are not aware of it: each uses the bus, as its own user. */
await run({ storage, 'twin-bridge': twinBridge, gateway, syncer });
