import { isIP } from 'node:net';
import { type Static, Type } from '../contract/schema.ts';
import { mapping, optional } from './fields.ts';

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
