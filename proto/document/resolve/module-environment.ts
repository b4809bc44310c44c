import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PARENT_PASSWORD } from '../../volume/layout.ts';
import { THIS_MACHINE } from '../document.ts';
import { parseConnectionString } from './connection-string.ts';
import type { Overrides } from './resolve.ts';

/**
 * Configuration from the environment of a container: fields of a document, used if no document has them. The variables:
 * proto/process/environment.ts.
 */
export type Env = Record<string, string | undefined>;

/** Volumes of the connected registry. */
export const ACR_DATA = '/var/acr/data';
const ACR_CERTIFICATES = '/var/acr/certs';
const ACR_LISTEN = '0.0.0.0:8080';

/** In an image, where loopback reaches no client. */
const CONTAINER_LISTEN = '0.0.0.0:5000';

/** Private networks (RFC 1918, RFC 4193): the modules of a device are in one of them. */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'];

/** Whether this is the environment of a connected registry. */
export const isConnectedRegistry = (env: Env): boolean => Boolean(env.ACR_REGISTRY_CONNECTION_STRING?.trim());

/**
 * Whether the layer requires a token for all access, and starts even while it has none. Its first token may be created
 * by the parent's operator, by a document, or by `terrace token create`.
 * @param env of a service; TERRACE_CLOSED=1 stands for the connection string, which services do not receive
 */
export const isClosed = (env: Env): boolean => env.TERRACE_CLOSED === '1' || isConnectedRegistry(env);

/**
 * Whether this is the environment of the project's image: by default the layer listens on all addresses of its
 * container, and waits there for its first token.
 */
export const isContainer = (env: Env): boolean => env.TERRACE_CONTAINER === '1';

/** The default of `listen` that this environment implies. Pure. */
export function listenOf(env: Env): string | undefined {
  if (env.TERRACE_LISTEN) return env.TERRACE_LISTEN;
  if (isConnectedRegistry(env)) return ACR_LISTEN;
  return isContainer(env) ? CONTAINER_LISTEN : undefined;
}

/** Fields from the environment, and the password to write to `passwordFile`. Pure. @throws Fault `config-invalid` */
export function environmentFields(
  env: Env,
  data: string,
  readable: (path: string) => boolean,
): { fields: Overrides; password?: string } {
  const { TERRACE_MODE: mode, ACR_REGISTRY_LOGIN_SERVER: loginServer } = env;
  const connected = isConnectedRegistry(env);
  const listen = listenOf(env);
  const folder = env.ACR_REGISTRY_CERTIFICATE_VOLUME || (connected ? ACR_CERTIFICATES : undefined);
  const tls = folder && { certificateFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') };
  const common: Overrides = {
    ...(listen && { listen }),
    ...(mode && { mode: mode as NonNullable<Overrides['mode']> }),
    ...(loginServer && { loginServer }),
    ...(tls && readable(tls.certificateFile) && { tls }),
    ...(env.IOTEDGE_MODULEID && { trustedProxies: [...THIS_MACHINE, ...PRIVATE] }),
  };
  if (!connected) return { fields: common };
  const { ACR_REGISTRY_CONNECTION_STRING: text = '', ACR_PARENT_GATEWAY_ENDPOINT: endpoint } = env;
  const { name, url, login } = parseConnectionString(text, env, endpoint);
  if ('clientId' in login) {
    const azure = { credential: 'managed-identity' as const, clientId: login.clientId };
    return { fields: { ...common, name, parent: { url, azure } } };
  }
  const { username, password } = login;
  const passwordFile = join(data, PARENT_PASSWORD);
  return { fields: { ...common, name, parent: { url, username, passwordFile } }, password };
}

/**
 * The same, with the password written to the data volume, readable by its owner only: no document, state or argument
 * contains it.
 * @throws Fault `config-invalid`; errors of the file system
 */
export function environmentDefaults(env: Env, data: string, readable: (path: string) => boolean): Overrides {
  const { fields, password } = environmentFields(env, data, readable);
  const file = fields.parent?.passwordFile;
  if (password !== undefined && file) writePassword(file, data, password);
  return fields;
}

function writePassword(file: string, data: string, password: string): void {
  try {
    if (readFileSync(file, 'utf8') === password) {
      chmodSync(file, 0o600);
      return;
    }
  } catch {
    // It does not exist yet.
  }
  mkdirSync(data, { recursive: true });
  // A concurrent reader gets the complete previous password.
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, password, { mode: 0o600, flush: true });
  renameSync(temporary, file);
}
