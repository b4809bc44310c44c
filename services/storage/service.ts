import { storageStarted } from '#proto/content.ts';
import { type Context, ended } from '../run.ts';
import { serve } from './serve.ts';
import { Storage } from './storage.ts';

export async function storage({ data, bus, log, signal }: Context): Promise<void> {
  await using storage = await Storage.open({ data, publish: bus.publish.bind(bus), log });
  // Before anything is answered: what was not said by a storage that was killed is made good.
  bus.publish(storageStarted, {});
  await using _served = serve(bus, storage);
  await Promise.race([ended(signal), storage.failure]);
}
