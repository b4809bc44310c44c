import { gateway } from './gateway/service.ts';
import { run } from './process/run.ts';
import { storage } from './storage/service.ts';
import { syncer } from './syncer/service.ts';
import { twinBridge } from './twin-bridge/service.ts';

/** A whole layer in one process. Its services know nothing of it: each speaks over the bus, as itself. */
await run({ storage, 'twin-bridge': twinBridge, gateway, syncer });
