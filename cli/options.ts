import { dirname, resolve } from 'node:path';
import type { Configuration } from '#proto/configuration.ts';
import { type Overrides, resolveDocument } from '#proto/document.ts';
import { isLoopback, parseAddress } from './ports.ts';
import { Refusal } from './refusal.ts';

/** The options of `terrace up` as commander gives them. */
export type UpOptions = {
  data: string;
  listen?: string;
  name?: string;
  mode?: string;
  parent?: string;
  parentUsername?: string;
  parentPasswordFile?: string;
  repository?: string[];
  schedule?: string;
  syncers?: string;
  config?: string;
  insecureListen?: boolean;
};

/** The fields of the configuration document that the command line gives. Their form is checked with the document. */
export function overridesOf(options: UpOptions): Overrides {
  const { listen, name, mode, parent, parentUsername, parentPasswordFile, repository, schedule, syncers } =
    options;
  const parentFields = defined({
    url: parent,
    username: parentUsername,
    passwordFile: parentPasswordFile && resolve(parentPasswordFile),
  });
  return defined({
    name,
    listen,
    mode: mode as Overrides['mode'],
    parent: Object.keys(parentFields).length > 0 ? parentFields : undefined,
    repositories: repository,
    schedule,
    syncers: syncers === undefined ? undefined : /^\d+$/.test(syncers) ? Number(syncers) : (syncers as never),
  }) as Overrides;
}

/** @throws Refusal with every complaint, one to a line */
export function configurationOf(
  options: UpOptions,
  overrides: Overrides,
  text: string | undefined,
  readable: (path: string) => boolean,
): Configuration {
  const folder = options.config && dirname(resolve(options.config));
  const resolved = resolveDocument({ text, folder, overrides, readable });
  if ('complaints' in resolved) throw new Refusal(resolved.complaints.join('\n'), 2);
  const { configuration } = resolved;
  const { host } = parseAddress(configuration.listen);
  if (!isLoopback(host) && !options.insecureListen) {
    throw new Refusal(
      `listen ${configuration.listen} lets other machines in, and this layer has no accounts: ` +
        'listen on 127.0.0.1, or say --insecure-listen to let everybody read and write',
      2,
    );
  }
  return configuration;
}

function defined<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}
