import { type Context, ended } from '../run.ts';
import { serve } from './serve.ts';
import { Storage } from './storage.ts';

export async function storage({ data, bus, signal }: Context): Promise<void> {
  await using storage = await Storage.open({ data, publish: bus.publish.bind(bus) });
  await using _served = serve(bus, storage);
  await Promise.race([ended(signal), storage.failure]);
}
