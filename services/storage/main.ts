import { ended, run } from '../run.ts';
import { serve } from './serve.ts';
import { Storage } from './storage.ts';

await run('storage', async ({ data, bus, signal }) => {
  await using storage = await Storage.open({ data, publish: bus.publish.bind(bus) });
  await using _served = serve(bus, storage);
  await Promise.race([ended(signal), storage.failure]);
});
