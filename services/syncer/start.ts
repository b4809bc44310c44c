import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { type Context, ended } from '../process/run.ts';

/**
 * Runs one syncer process, see `runSyncer`. Most of its code is loaded once the layer has a configuration: the other
 * services start meanwhile, and clients are served before the first pass.
 */
export async function startSyncer(context: Context): Promise<void> {
  const { bus, signal, serves } = context;
  serves();
  const { promise: received, resolve } = Promise.withResolvers<void>();
  const unwatch = bus.watch(configuration, CONFIGURATION_KEY, (value) => {
    if (value) resolve();
  });
  await Promise.race([received, ended(signal)]);
  unwatch();
  if (signal.aborted) return;
  const { runSyncer } = await import('./service.ts');
  await runSyncer(context);
}
