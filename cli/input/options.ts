import { dirname, resolve } from 'node:path';
import type { Configuration } from '#proto/document/configuration.ts';
import type { DeclaredAccount } from '#proto/document/declared-accounts.ts';
import type { DocumentFiles } from '#proto/document/files.ts';
import { type Overrides, resolveDocument } from '#proto/document/resolve/resolve.ts';
import { Refusal } from '../terminal/refusal.ts';
import { selectionOption } from './selection-option.ts';

/**
 * Input of the commands: options, arguments and the environment, validated before any process starts. Invalid input is
 * a `Refusal`.
 *
 * `terrace up`: commander parses the command line to `UpOptions` (layer-options.ts); `overridesOf` maps them to fields
 * of the configuration document; environment-defaults.ts reads further fields from the environment.
 * `resolveConfiguration` merges all with the document (the command line wins over the document, the document over the
 * environment), validates the result and applies the defaults. The other commands use permission-options.ts (--pull,
 * --push, --delete, --action), account-name.ts, expiry.ts (--expires), event-types.ts (--type) and selection-option.ts
 * (--repository of a link).
 */

/** The options of `terrace up` as parsed by commander. */
export type UpOptions = {
  data: string;
  listen?: string;
  name?: string;
  mode?: string;
  parent?: string;
  parentUsername?: string;
  parentPasswordFile?: string;
  parentCa?: string;
  parentCertificate?: string;
  parentKey?: string;
  repository?: string[];
  schedule?: string;
  window?: string;
  bandwidth?: string;
  eventTtl?: string;
  syncers?: string;
  gateways?: string;
  loginServer?: string;
  tlsCertificate?: string;
  tlsKey?: string;
  trustedProxy?: string[];
  challenge?: string;
  anonymousPull?: string[];
  reserve?: string;
  config?: string;
  insecureListen?: boolean;
};

/** Fields of the configuration document that the command line sets. They are validated together with the document. */
export function overridesOf(options: UpOptions): Overrides {
  const { parentPasswordFile, parentCa, parentCertificate, parentKey, tlsCertificate, tlsKey } = options;
  return defined({
    name: options.name,
    listen: options.listen,
    gateways: integer(options.gateways),
    loginServer: options.loginServer,
    tls: group({
      certificateFile: tlsCertificate && resolve(tlsCertificate),
      keyFile: tlsKey && resolve(tlsKey),
    }),
    trustedProxies: options.trustedProxy,
    challenge: options.challenge as Overrides['challenge'],
    anonymousPull: options.anonymousPull,
    mode: options.mode as Overrides['mode'],
    parent: group({
      url: options.parent,
      username: options.parentUsername,
      passwordFile: parentPasswordFile && resolve(parentPasswordFile),
      caFile: parentCa && resolve(parentCa),
      certificateFile: parentCertificate && resolve(parentCertificate),
      keyFile: parentKey && resolve(parentKey),
    }),
    repositories: options.repository?.map(selectionOption),
    schedule: options.schedule,
    window: options.window,
    bandwidth: options.bandwidth,
    eventTtl: options.eventTtl,
    reserve: options.reserve,
    syncers: integer(options.syncers),
  }) as Overrides;
}

/** Text that is no number is returned unchanged: the validation of the document reports it. */
const integer = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : (text as undefined);

function group<T extends object>(fields: T): Partial<T> | undefined {
  const given = defined(fields);
  return Object.keys(given).length > 0 ? given : undefined;
}

export type ResolvedConfiguration = { configuration: Configuration; accounts: DeclaredAccount[] };

/**
 * Resolves the configuration in force.
 * @param text the configuration document, YAML
 * @throws Refusal with every complaint, one a line
 */
export function resolveConfiguration(
  options: UpOptions,
  overrides: Overrides,
  text: string | undefined,
  files: DocumentFiles,
  defaults: Overrides = {},
): ResolvedConfiguration {
  const folder = options.config && dirname(resolve(options.config));
  const resolved = resolveDocument({ text, folder, overrides, defaults, ...files });
  if ('complaints' in resolved) throw new Refusal(resolved.complaints.join('\n'), 2);
  return resolved;
}

function defined<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}
