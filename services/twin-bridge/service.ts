import { resolve } from 'node:path';
import { files } from '#proto/document/files.ts';
import { environmentDefaults } from '#proto/document/resolve/module-environment.ts';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { loadWorkload } from '#proto/iot-edge/load-workload.ts';
import { version } from '#proto/process/version.ts';
import { type Context, ended } from '../process/run.ts';
import { startBridge } from './bridge.ts';
import { runModule } from './module.ts';
import { fileSource } from './source/file-source.ts';
import { emptySource } from './source/source.ts';

/**
 * Runs the twin-bridge until the signal aborts. In a module of IoT Edge, the module twin is the document, above the
 * file. Environment: proto/process/environment.ts.
 */
export async function runTwinBridge({ bus, data, log, signal, env, serves }: Context): Promise<void> {
  const { TERRACE_CONFIG_FILE: path } = env;
  const file = path ? fileSource(resolve(path)) : undefined;
  const overrides = JSON.parse(env.TERRACE_OPTIONS || '{}') as Overrides;
  const defaults = env.TERRACE_DEFAULTS
    ? (JSON.parse(env.TERRACE_DEFAULTS) as Overrides)
    : environmentDefaults(env, data, files.readable);
  const options = { overrides, defaults };
  const workload = await loadWorkload(env);
  if (workload) {
    // Imported only if needed: MQTT would take a tenth of the memory of this process.
    const { startTwin } = await import('./iot-edge/twin.ts');
    const start: Parameters<typeof runModule>[0]['start'] = (methods) =>
      startTwin({ workload, dataFolder: data, methods, log });
    return runModule({ bus, log, signal, serves, version: version(), bridgeOptions: options, file, start });
  }
  using _bridge = startBridge(bus, log, file ?? emptySource, options);
  serves();
  await ended(signal);
}
