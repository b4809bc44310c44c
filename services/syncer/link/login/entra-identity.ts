import type { TokenCredential, TokenCredentialOptions } from '@azure/identity';
import { Fault } from '#proto/contract/fault.ts';
import { type AzureLogin, credentialOf } from '#proto/document/azure.ts';
import { certificateHint } from '#proto/process/clock-hint.ts';

/** This layer's identity in Microsoft Entra. `token` throws Fault `parent-refused`, `parent-unreachable`, `busy`. */
export type AzureIdentity = { token(): Promise<{ token: string; tenant?: string }> };

/** Accepted by every registry, also by one that rejects tokens for the resource manager. */
const SCOPE = 'https://containerregistry.azure.net/.default';
/** Max time to get a token, in ms. */
const TIMEOUT_MS = 30_000;
/** Authorities that Entra's instance discovery knows. It can't look up any other. */
const PUBLIC_AUTHORITY =
  /^https:\/\/login\.(microsoftonline\.(com|us)|partner\.microsoftonline\.cn|chinacloudapi\.cn)\/?$/;

/** HTTP for the library of Microsoft Entra identities. */
export type EntraHttp = NonNullable<TokenCredentialOptions['httpClient']> & {
  /** Why the last request got no answer. The library's errors may not say so. */
  readonly failure: unknown;
};

export type IdentityOptions = { azure: AzureLogin; secret?: string | undefined; http: EntraHttp };

/** The identity that the configuration describes. Its library is loaded on first use. */
export function identityOf(options: IdentityOptions): AzureIdentity {
  let created: Promise<TokenCredential> | undefined;
  return {
    token: async () => {
      const { tenantId: tenant } = options.azure;
      const timeout = AbortSignal.timeout(TIMEOUT_MS);
      try {
        created ??= credential(options);
        const requested = created.then((source) => source.getToken(SCOPE, { abortSignal: timeout }));
        const granted = await Promise.race([requested, timedOut(timeout)]);
        if (!granted) throw new Error('no token in the answer');
        return { token: granted.token, ...(tenant && { tenant }) };
      } catch (error) {
        created?.catch(() => {
          created = undefined;
        });
        throw faultOf(error, options.secret, options.http.failure);
      }
    },
  };
}

async function credential({ azure, secret, http }: IdentityOptions): Promise<TokenCredential> {
  const entra = await import('@azure/identity');
  const { clientId, tenantId, tokenFile, authorityHost } = azure;
  const options = {
    ...(authorityHost && { authorityHost, disableInstanceDiscovery: !PUBLIC_AUTHORITY.test(authorityHost) }),
    httpClient: http,
    // Callers retry, with backoff.
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

function timedOut(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error(`no answer in ${TIMEOUT_MS / 1_000} s`)));
  });
}

/** Transient statuses of a directory. Codes such as `AADSTS90033` arrive with them. */
const TRANSIENT = [408, 429, 500, 502, 503, 504];
const NETWORK =
  /\b(ECONN\w+|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE|CERT_\w+|UNABLE_TO_\w+|SELF_SIGNED\w*|DEPTH_ZERO\w*|network_error|endpoints_resolution_error|no answer in \d+ s|socket hang up)/i;

/**
 * The Fault for a failure of the identity: `busy`, `parent-unreachable` or `parent-refused`. Its message, for an
 * operator, has the directory's explanation without secrets and tokens.
 * @param failure why the directory did not answer; the error of the library may not say so
 */
export function faultOf(error: unknown, secret?: string, failure?: unknown): Fault {
  const { text, status, code } = detailsOf(error);
  const transport = failure === undefined ? { text: '', code: '' } : detailsOf(failure);
  // Otherwise the library's message, up to the point at which it quotes a page that arrived instead of an answer.
  const sentence = /AADSTS\d+:.*/.exec(text)?.[0] ?? (text.split(/response body|</, 1)[0] as string);
  const [first = ''] = sentence.split(/ Trace ID:| Correlation ID:| Timestamp:|\r?\n\r?\n/, 1);
  const plain = (secret ? first.replaceAll(secret, '…') : first)
    .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, '…')
    .replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ')
    .trim()
    .slice(0, 240);
  const reason = transport.code.trim() || transport.text.slice(0, 120);
  const cause = reason && !plain.includes(reason) ? ` (${reason})` : '';
  const all = `${code} ${text} ${transport.code} ${transport.text}`;
  const passes = (status !== undefined && TRANSIENT.includes(status)) || NETWORK.test(all);
  const untrusted = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(all);
  const [clockCode] = /CERT_(NOT_YET_VALID|HAS_EXPIRED)/.exec(all) ?? [];
  const ca = untrusted ? 'if a private CA signed its certificate, set parent.caFile to that CA' : undefined;
  const hint = certificateHint(clockCode) ?? ca;
  const remedy = hint ? `: ${hint}` : '';
  return new Fault(
    status === 429 ? 'busy' : passes ? 'parent-unreachable' : 'parent-refused',
    `Microsoft Entra issued no token for the identity of parent.azure: ${plain || 'no reason given'}${cause}${remedy}`,
    { cause: error },
  );
}

/** Max characters that are read of each message. */
const MAX_MESSAGE = 2_000;

/** Messages, codes and the first status along the chain of causes: the libraries wrap errors in several ways. */
function detailsOf(error: unknown): { text: string; status?: number; code: string } {
  let text = '';
  let code = '';
  let status: number | undefined;
  for (let at = error as Record<string, unknown> | undefined, depth = 0; at && depth < 6; depth += 1) {
    if (typeof at.message === 'string') text += `${text && '\n'}${at.message.slice(0, MAX_MESSAGE)}`;
    for (const name of ['code', 'errorCode']) if (typeof at[name] === 'string') code += ` ${at[name]}`;
    const candidate = at.statusCode ?? at.status;
    if (typeof candidate === 'number') status ??= candidate;
    at = (at.cause ?? (Array.isArray(at.errors) ? at.errors.at(-1) : undefined)) as typeof at;
  }
  return { text, code, ...(status !== undefined && { status }) };
}
