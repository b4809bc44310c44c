import { resolve } from 'node:path';
import type { Overrides } from '#proto/document.ts';
import { type Context, ended } from '../run.ts';
import { bridge } from './bridge.ts';
import { fileSource } from './file-source.ts';
import { emptySource } from './source.ts';

/**
 * TERRACE_CONFIG_FILE   the YAML file of the configuration; without it, defaults and overrides are all
 * TERRACE_OPTIONS       JSON, `Overrides`: fields that win over those of the document
 * TERRACE_DEFAULTS      JSON, `Overrides`: fields that count where the document does not name them
 */
export async function twinBridge({ bus, log, signal, env }: Context): Promise<void> {
  const file = env.TERRACE_CONFIG_FILE;
  const source = file ? fileSource(resolve(file)) : emptySource;
  const overrides = JSON.parse(env.TERRACE_OPTIONS || '{}') as Overrides;
  const defaults = JSON.parse(env.TERRACE_DEFAULTS || '{}') as Overrides;
  using _bridge = bridge(bus, log, source, { overrides, defaults });
  await ended(signal);
}
