import { CONFIGURATION_KEY, configuration } from '#proto/configuration.ts';
import { storageStarted } from '#proto/content.ts';
import { type Context, ended } from '../run.ts';
import { HistoryAge } from './history-age.ts';
import { Schedules } from './schedules.ts';
import { serve } from './serve.ts';
import { Storage } from './storage.ts';

export async function storage({ data, bus, log, signal, serves }: Context): Promise<void> {
  await using storage = await Storage.open({ data, publish: bus.publish.bind(bus), log });
  // Before anything is answered: what was not said by a storage that was killed is made good.
  bus.publish(storageStarted, {});
  await storage.resume(bus);
  await using _served = serve(bus, storage);
  serves();
  using _secrets = storage.declared.watchSecrets();
  using schedules = new Schedules(storage, log);
  const end = new AbortController();
  const age = new HistoryAge(bus, log, AbortSignal.any([signal, end.signal]));
  const unwatch = bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    if (!value) return;
    schedules.set(value);
    age.set(value.eventTtlMs);
  });
  const watching = storage.watchHistory(bus, AbortSignal.any([signal, end.signal]));
  try {
    await Promise.race([ended(signal), storage.failure]);
  } finally {
    unwatch();
    end.abort();
    await watching;
    storage.endUpkeep();
  }
}
