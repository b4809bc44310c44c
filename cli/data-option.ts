import { resolve } from 'node:path';
import { Option } from 'commander';

/** Services in containers know their data volume by the first, deployments of other connected registries by the second. */
export const DEFAULT_DATA = process.env.TERRACE_DATA ?? process.env.ACR_REGISTRY_DATA_VOLUME ?? 'data';

export const dataOption = (description = 'data folder of the layer') =>
  new Option('--data <dir>', description).default(DEFAULT_DATA);

/** What a command line needs to mean this data folder. */
export const dataWords = (data: string): string =>
  resolve(data) === resolve(DEFAULT_DATA) ? '' : ` --data ${data}`;
