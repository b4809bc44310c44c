import { AzureLogin, azureFiles, credentialOf } from '../azure.ts';
import type { DocumentFiles } from '../files.ts';

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
