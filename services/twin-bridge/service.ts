import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { files } from '#proto/document/files.ts';
import { environmentDefaults } from '#proto/document/resolve/module-environment.ts';
import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { workloadOf } from '#proto/iot-edge/workload.ts';
import { type Context, ended } from '../process/run.ts';
import { bridge } from './bridge.ts';
import { runModule } from './module.ts';
import { fileSource } from './source/file-source.ts';
import { emptySource } from './source/source.ts';

/**
 * TERRACE_CONFIG_FILE   the YAML file of the configuration; without it, defaults and overrides are all
 * TERRACE_OPTIONS       JSON, `Overrides`: fields that win over those of the document
 * TERRACE_DEFAULTS      JSON, `Overrides`: fields that count where the document does not name them; without it, what
 *                       the environment says as proto/document/resolve/module-environment.ts has it
 * IOTEDGE_WORKLOADURI   and its neighbours, as edgeAgent sets them: the module twin is the document, over the file
 */
export async function twinBridge({ bus, data, log, signal, env, serves }: Context): Promise<void> {
  const { TERRACE_CONFIG_FILE: path } = env;
  const file = path ? fileSource(resolve(path)) : undefined;
  const overrides = JSON.parse(env.TERRACE_OPTIONS || '{}') as Overrides;
  const defaults = env.TERRACE_DEFAULTS
    ? (JSON.parse(env.TERRACE_DEFAULTS) as Overrides)
    : environmentDefaults(env, data, files.readable);
  const beside = { overrides, defaults };
  const workload = workloadOf(env);
  if (workload) {
    // Only where it is needed: MQTT is a tenth of what this process would have.
    const { startTwin } = await import('./iot-edge/twin.ts');
    const start: Parameters<typeof runModule>[0]['start'] = (methods) =>
      startTwin({ workload, dataFolder: data, methods, log });
    return runModule({ bus, log, signal, serves, version: version(), beside, file, start });
  }
  using _bridge = bridge(bus, log, file ?? emptySource, beside);
  serves();
  await ended(signal);
}

function version(): string {
  const text = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
