import { isIP } from 'node:net';
import { type Static, Type } from '@sinclair/typebox';
import { mapping, optional } from './fields.ts';
import type { DocumentFiles } from './files.ts';

/** Login to Azure Container Registry with an identity of Microsoft Entra, instead of user and password. */
export const AzureLogin = mapping(
  {
    credential: optional(
      Type.Union([
        Type.Literal('managed-identity'),
        Type.Literal('workload-identity'),
        Type.Literal('service-principal'),
        Type.Literal('cli'),
        Type.Literal('default'),
      ]),
      'Kind of the identity: managed identity of the machine, workload identity of a cluster, service principal, login of the Azure CLI (`cli`), or each of them in turn (`default`).',
      'write managed-identity, workload-identity, service-principal, cli or default, or leave it out',
      { otherwise: 'the one that the other fields imply, else `default`' },
    ),
    clientId: optional(
      Type.String({ minLength: 1, maxLength: 256 }),
      'Client id of the service principal or workload, or of one of several managed identities of the machine.',
      'write the client id of the identity',
    ),
    tenantId: optional(
      Type.String({ pattern: '^[A-Za-z0-9.-]+$', maxLength: 256 }),
      'Tenant of a service principal or a workload.',
      'write the id or the domain of the tenant',
    ),
    clientSecretFile: optional(
      Type.String({ minLength: 1, maxLength: 4_096 }),
      'File that holds the secret of a service principal. Read again at each use.',
      'write the path of a file that holds the secret of the service principal',
    ),
    tokenFile: optional(
      Type.String({ minLength: 1, maxLength: 4_096 }),
      'File with the token of a workload identity, provided by the cluster.',
      'write the path of the token file that the cluster provides',
    ),
    authorityHost: optional(
      Type.String({ pattern: '^https://[^/?#@]+/?$', maxLength: 512 }),
      'Authority of a cloud other than the public one.',
      'write https://host, such as https://login.microsoftonline.us',
    ),
  },
  'Login to Azure Container Registry with an identity of Microsoft Entra, instead of `username` and `passwordFile`.',
);
export type AzureLogin = Static<typeof AzureLogin>;
export type AzureCredential = NonNullable<AzureLogin['credential']>;

/** Fields of `AzureLogin` that are paths. */
export const azureFiles = ['clientSecretFile', 'tokenFile'] as const;

export const credentialOf = ({ credential, clientSecretFile, tokenFile }: AzureLogin): AzureCredential =>
  credential ?? (clientSecretFile ? 'service-principal' : tokenFile ? 'workload-identity' : 'default');

/** Complaints about the login that its schema can't express. */
export function azureComplaints(
  parent: { url: string; username?: string; azure?: AzureLogin },
  files: DocumentFiles,
): string[] {
  const { azure, url, username } = parent;
  if (!azure) return [];
  const complaints: string[] = [];
  const field = (name: string) => `parent.azure.${name}`;
  if (username !== undefined) {
    complaints.push('parent.azure and parent.username are both set: remove one of them');
  }
  if (!url.startsWith('https://')) {
    complaints.push(
      'parent.url must begin with https:// if parent.azure is set: tokens are sent over HTTPS only',
    );
  }
  const kind = credentialOf(azure);
  if (kind === 'service-principal') {
    for (const name of ['clientId', 'tenantId', 'clientSecretFile'] as const) {
      if (azure[name] === undefined) {
        complaints.push(`${field(name)} is missing: ${AzureLogin.properties[name].remedy}`);
      }
    }
  } else if (azure.clientSecretFile !== undefined) {
    complaints.push(
      `${field('clientSecretFile')} does not apply to ${kind}: remove it, or write service-principal as parent.azure.credential`,
    );
  }
  if (azure.tokenFile !== undefined && kind !== 'workload-identity') {
    complaints.push(
      `${field('tokenFile')} does not apply to ${kind}: remove it, or write workload-identity as parent.azure.credential`,
    );
  }
  for (const name of azureFiles) {
    const path = azure[name];
    if (path !== undefined && !files.readable(path)) {
      complaints.push(
        `${field(name)} ${JSON.stringify(path)} can't be read: create that file, or name another one`,
      );
    }
  }
  return complaints;
}

const LOGIN_SERVER = /^[a-z0-9-]+\.azurecr\.(?:io|cn|us)$/;
const DATA_ENDPOINT = /^([a-z0-9-]+)\.[a-z0-9-]+\.data\.azurecr\.(io|cn|us)$/;

/** Whether the parent is a registry of Azure: by its host name, or because the document has `azure`. */
export function isAzure(parent: { url: string; azure?: AzureLogin | undefined }): boolean {
  if (parent.azure) return true;
  return URL.canParse(parent.url) && LOGIN_SERVER.test(new URL(parent.url).hostname);
}

/** URL of the login server if `url` is a dedicated data endpoint, which serves blobs only; otherwise `url`. */
export function loginServerOf(url: string): string {
  if (!URL.canParse(url)) return url;
  const { hostname, port, protocol } = new URL(url);
  if (isIP(hostname)) return url;
  const [, registry, cloud] = DATA_ENDPOINT.exec(hostname) ?? [];
  return registry ? `${protocol}//${registry}.azurecr.${cloud}${port && `:${port}`}` : url;
}
