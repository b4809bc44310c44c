import { getCACertificates } from 'node:tls';
import type { TokenCredential } from '@azure/identity';
import { Fault } from '#proto/contract/fault.ts';
import { type AzureLogin, credentialOf } from '#proto/document/azure.ts';

/** Who this layer is for Microsoft Entra. @throws Fault `parent-refused`, `parent-unreachable` */
export type Identity = { token(): Promise<{ token: string; tenant?: string }> };

/** Taken by every registry, also where tokens of the resource manager are not. */
const SCOPE = 'https://containerregistry.azure.net/.default';
const WAIT_MS = 30_000;
/** Authorities that Entra itself knows: any other can't be looked up there. */
const PUBLIC =
  /^https:\/\/login\.(microsoftonline\.(com|us)|partner\.microsoftonline\.cn|chinacloudapi\.cn)\/?$/;

export type IdentityOptions = { azure: AzureLogin; secret?: string | undefined; ca?: string | undefined };

/** The identity that the document describes. What it is read with is loaded when it is first used. */
export function identityOf(options: IdentityOptions): Identity {
  let made: Promise<TokenCredential> | undefined;
  return {
    token: async () => {
      const { tenantId: tenant } = options.azure;
      const timeout = AbortSignal.timeout(WAIT_MS);
      try {
        made ??= credential(options);
        const asked = made.then((one) => one.getToken(SCOPE, { abortSignal: timeout }));
        const found = await Promise.race([asked, over(timeout)]);
        if (!found) throw new Error('it gave no token');
        return { token: found.token, ...(tenant && { tenant }) };
      } catch (error) {
        made?.catch(() => {
          made = undefined;
        });
        throw faultOf(error, options.secret);
      }
    },
  };
}

async function credential({ azure, secret, ca }: IdentityOptions): Promise<TokenCredential> {
  const entra = await import('@azure/identity');
  const { clientId, tenantId, tokenFile, authorityHost } = azure;
  const options = {
    ...(authorityHost && { authorityHost, disableInstanceDiscovery: !PUBLIC.test(authorityHost) }),
    ...(ca && { tlsOptions: { ca: [...getCACertificates('default'), ca] } }),
    // Whoever asks tries again, by and by.
    retryOptions: { maxRetries: 0 },
  };
  const kind = credentialOf(azure);
  if (kind === 'service-principal') {
    return new entra.ClientSecretCredential(tenantId ?? '', clientId ?? '', secret ?? '', options);
  }
  if (kind === 'managed-identity') {
    return clientId
      ? new entra.ManagedIdentityCredential({ ...options, clientId })
      : new entra.ManagedIdentityCredential(options);
  }
  if (kind === 'workload-identity') {
    return new entra.WorkloadIdentityCredential({
      ...options,
      ...(clientId && { clientId }),
      ...(tenantId && { tenantId }),
      ...(tokenFile && { tokenFilePath: tokenFile }),
    });
  }
  if (kind === 'cli') return new entra.AzureCliCredential(tenantId ? { tenantId } : {});
  return new entra.DefaultAzureCredential({
    ...options,
    ...(tenantId && { tenantId }),
    ...(clientId && { managedIdentityClientId: clientId, workloadIdentityClientId: clientId }),
  });
}

function over(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error(`no answer in ${WAIT_MS / 1_000} s`)));
  });
}

/** Answers of a directory that pass by themselves; `AADSTS90033` and its like come with them. */
const PASSING = [408, 429, 500, 502, 503, 504];
const NETWORK =
  /\b(ECONN\w+|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE|CERT_\w+|UNABLE_TO_\w+|SELF_SIGNED\w*|DEPTH_ZERO\w*|network_error|endpoints_resolution_error|no answer in \d+ s|socket hang up)/i;

/** What an identity's failure is for a person, with what the directory says and without what nobody should read. */
export function faultOf(error: unknown, secret?: string): Fault {
  const { said, status, code } = told(error);
  // Else what the library says, up to where it quotes whatever page came instead of an answer.
  const sentence = /AADSTS\d+:.*/.exec(said)?.[0] ?? (said.split(/response body|</, 1)[0] as string);
  const [first = ''] = sentence.split(/ Trace ID:| Correlation ID:| Timestamp:|\r?\n\r?\n/, 1);
  const plain = (secret ? first.replaceAll(secret, '…') : first)
    .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, '…')
    .replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ')
    .trim()
    .slice(0, 240);
  const passes = (status !== undefined && PASSING.includes(status)) || NETWORK.test(`${code} ${said}`);
  const untrusted = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(`${code} ${said}`);
  const remedy = untrusted ? ': where a CA of its own signs its certificate, name that as parent.caFile' : '';
  return new Fault(
    status === 429 ? 'busy' : passes ? 'parent-unreachable' : 'parent-refused',
    `Microsoft Entra gives no token to the identity of parent.azure: ${plain || 'it does not say why'}${remedy}`,
    { cause: error },
  );
}

/** Characters of each message that are looked at. */
const MAX_SAID = 2_000;

/** The libraries wrap what was said in several ways; the chain has each of them. */
function told(error: unknown): { said: string; status?: number; code: string } {
  let said = '';
  let code = '';
  let status: number | undefined;
  for (let at = error as Record<string, unknown> | undefined, depth = 0; at && depth < 6; depth += 1) {
    if (typeof at.message === 'string') said += `${said && '\n'}${at.message.slice(0, MAX_SAID)}`;
    for (const name of ['code', 'errorCode']) if (typeof at[name] === 'string') code += ` ${at[name]}`;
    const found = at.statusCode ?? at.status;
    if (typeof found === 'number') status ??= found;
    at = (at.cause ?? (Array.isArray(at.errors) ? at.errors.at(-1) : undefined)) as typeof at;
  }
  return { said, code, ...(status !== undefined && { status }) };
}
