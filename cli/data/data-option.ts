import { resolve } from 'node:path';
import { Option } from 'commander';
import { ACR_DATA, isConnectedRegistry } from '#proto/document/resolve/module-environment.ts';

/** Deployments of other connected registries know their data volume by the first two, images of ours by the third. */
export const dataOf = (env: NodeJS.ProcessEnv): string =>
  env.ACR_REGISTRY_DATA_VOLUME || (isConnectedRegistry(env) ? ACR_DATA : env.TERRACE_DATA || 'data');

export const DEFAULT_DATA = dataOf(process.env);

export const dataOption = (description = 'data folder of the layer') =>
  new Option('--data <dir>', description).default(DEFAULT_DATA);

/** What a command line needs to mean this data folder. */
export const dataWords = (data: string): string =>
  resolve(data) === resolve(DEFAULT_DATA) ? '' : ` --data ${data}`;
