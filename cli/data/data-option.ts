import { resolve } from 'node:path';
import { Option } from 'commander';
import { ACR_DATA, isConnectedRegistry } from '#proto/document/resolve/module-environment.ts';

/**
 * Default data folder. The first two are set by deployments of other connected registries, TERRACE_DATA by our images.
 */
export const dataOf = (env: NodeJS.ProcessEnv): string =>
  env.ACR_REGISTRY_DATA_VOLUME || (isConnectedRegistry(env) ? ACR_DATA : env.TERRACE_DATA || 'data');

export const DEFAULT_DATA = dataOf(process.env);

export const dataOption = (description = 'data folder of the layer') =>
  new Option('--data <dir>', description).default(DEFAULT_DATA);

/** The option that a command line needs for this data folder; empty for the default one. */
export const dataArguments = (data: string): string =>
  resolve(data) === resolve(DEFAULT_DATA) ? '' : ` --data ${data}`;
