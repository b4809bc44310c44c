import { accessSync, constants, statSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Configuration } from '#proto/document/configuration.ts';
import type { DeclaredAccount } from '#proto/document/declared-accounts.ts';
import { files as fileChecks } from '#proto/document/files.ts';
import type { Subject } from '../subject/subject.ts';
import { type Finding, fault, type Verdict } from '../verdict/check.ts';

/** The files that the configuration names: secrets, keys and certificates. */

/** `field`: as in the document. */
export type NamedFile = { field: string; path: string; kind: 'secret' | 'certificate' };

/** `code`: of the error when it is opened; `mode`: its permissions. */
export type FileSeen = NamedFile & { code?: string | undefined; mode?: number; holdsCertificate?: boolean };

/** Places where an engine mounts secrets, readable by all processes of the container. */
const MOUNTED = /^(?:\/var)?\/run\/secrets\//;

export async function checkConfiguredFiles(subject: Subject): Promise<Verdict> {
  const { configuration, accounts, status, secret } = subject;
  if (!configuration) return { unchecked: 'the configuration is not known' };
  const named = namedFiles(configuration, accounts);
  const present = secret === undefined ? named : named.filter(({ field }) => field !== 'parent.passwordFile');
  const seen = present.map(seenFile);
  // Containers of the services may have other files than this one.
  const elsewhere = status?.services.find(({ host }) => host !== hostname());
  if (!elsewhere || !seen.some(({ code }) => code === 'ENOENT')) return filesVerdict(seen);
  return { unchecked: `not all files are here: services run on ${elsewhere.host}, too` };
}

/** Pure. */
export function namedFiles(configuration: Configuration, accounts: readonly DeclaredAccount[]): NamedFile[] {
  const { tls, parent, notifications, audit } = configuration;
  const { syslog } = audit ?? {};
  const azure = parent?.azure;
  const fields: [string, string | undefined, NamedFile['kind']][] = [
    ['tls.certificateFile', tls?.certificateFile, 'certificate'],
    ['tls.keyFile', tls?.keyFile, 'secret'],
    ['parent.passwordFile', parent?.passwordFile, 'secret'],
    ['parent.caFile', parent?.caFile, 'certificate'],
    ['parent.certificateFile', parent?.certificateFile, 'certificate'],
    ['parent.keyFile', parent?.keyFile, 'secret'],
    ['parent.azure.clientSecretFile', azure?.clientSecretFile, 'secret'],
    ['parent.azure.tokenFile', azure?.tokenFile, 'secret'],
    ['audit.syslog.caFile', syslog?.caFile, 'certificate'],
    ['audit.syslog.certificateFile', syslog?.certificateFile, 'certificate'],
    ['audit.syslog.keyFile', syslog?.keyFile, 'secret'],
  ];
  for (const { name, secretFile, caFile } of notifications.webhooks) {
    fields.push([`secretFile of the webhook ${name}`, secretFile, 'secret']);
    fields.push([`caFile of the webhook ${name}`, caFile, 'certificate']);
  }
  for (const { name, passwords } of accounts) {
    for (const { secretFile } of passwords)
      fields.push([`secretFile of the token ${name}`, secretFile, 'secret']);
  }
  return fields.flatMap(([field, path, kind]) => (path === undefined ? [] : [{ field, path, kind }]));
}

function seenFile(file: NamedFile): FileSeen {
  try {
    const { mode } = statSync(file.path);
    accessSync(file.path, constants.R_OK);
    const isPem = file.kind !== 'certificate' || fileChecks.holdsCertificate(file.path);
    return { ...file, mode: mode & 0o777, holdsCertificate: isPem };
  } catch (error) {
    return { ...file, code: (error as NodeJS.ErrnoException).code ?? 'unknown' };
  }
}

/** Pure. */
export function filesVerdict(seen: readonly FileSeen[]): Verdict {
  const findings = seen.flatMap(({ field, path, kind, code, mode = 0, holdsCertificate }): Finding[] => {
    if (code === 'ENOENT')
      return [fault(`${field} ${path} does not exist`, 'write it there, or name another file')];
    if (code !== undefined) {
      const what = `${field} ${path} can't be read (${code})`;
      return [fault(what, 'make it readable for the user of the layer, and for no other')];
    }
    if (kind === 'secret' && (mode & 0o004) !== 0 && !MOUNTED.test(path)) {
      const what = `${field} ${path} is a secret, and all users of this machine can read it`;
      return [fault(what, 'run chmod 600 on it, and give it to the user of the layer')];
    }
    return holdsCertificate === false
      ? [fault(`${field} ${path} contains no certificate`, 'write the certificate to it, as PEM')]
      : [];
  });
  return { about: seen.length === 0 ? 'none are named' : `${seen.length} named, all readable`, findings };
}
