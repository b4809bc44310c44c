import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { THIS_MACHINE } from '../configuration.ts';
import { parseConnectionString } from './connection-string.ts';
import type { Overrides } from './resolve.ts';

/**
 * What the environment of a container says of the configuration: fields of a document, which count where no document
 * names them.
 *
 * ACR_REGISTRY_CONNECTION_STRING    name of the layer, its parent and its login there, see connection-string.ts. Then the
 *                                   gateway listens on 0.0.0.0:8080, and lets in only who has a token
 * ACR_PARENT_GATEWAY_ENDPOINT       host:port in place of the parent's in it
 * ACR_REGISTRY_LOGIN_SERVER         the only host that requests may name
 * ACR_REGISTRY_CERTIFICATE_VOLUME   folder with tls.crt and tls.key, which count when they are there (/var/acr/certs)
 * ACR_REGISTRY_DATA_VOLUME          the data volume (/var/acr/data), see cli/data/data-option.ts
 * TERRACE_LISTEN, TERRACE_MODE      as the fields `listen` and `mode`
 * IOTEDGE_MODULEID                  set by IoT Edge: proxies in the network of the containers are believed
 */
export type Env = Record<string, string | undefined>;

/** The volumes of the connected registry. */
export const ACR_DATA = '/var/acr/data';
const ACR_CERTIFICATES = '/var/acr/certs';
export const ACR_LISTEN = '0.0.0.0:8080';

/** Private networks (RFC 1918, RFC 4193): in one of them are the modules of a device. */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'];

/** Is it the environment of a connected registry? */
export const isConnectedRegistry = (env: Env): boolean => Boolean(env.ACR_REGISTRY_CONNECTION_STRING?.trim());

/**
 * Is the layer one that nobody comes into without a token, and that starts all the same while it has none? Its first
 * token may come from the parent's operator, a document, or `terrace token create`.
 * @param env of a service; TERRACE_CLOSED=1 says what the connection string, which services don't get, has said
 */
export const isClosed = (env: Env): boolean => env.TERRACE_CLOSED === '1' || isConnectedRegistry(env);

/** The fields, and the password that `passwordFile` is to hold. Pure. @throws Fault `config-invalid` */
export function environmentFields(
  env: Env,
  data: string,
  readable: (path: string) => boolean,
): { fields: Overrides; password?: string } {
  const { TERRACE_LISTEN: address, TERRACE_MODE: mode, ACR_REGISTRY_LOGIN_SERVER: loginServer } = env;
  const connected = isConnectedRegistry(env);
  const listen = address || (connected ? ACR_LISTEN : undefined);
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
  const passwordFile = join(data, 'parent.password');
  return { fields: { ...common, name, parent: { url, username, passwordFile } }, password };
}

/**
 * The same, with the password written into the data volume for its owner only: it stands in no document, state or
 * argument.
 * @throws Fault `config-invalid`, and what the file system has against the file
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
    // Not there yet.
  }
  mkdirSync(data, { recursive: true });
  // Whoever reads it meanwhile gets the one before, whole.
  const made = `${file}.${process.pid}`;
  writeFileSync(made, password, { mode: 0o600, flush: true });
  renameSync(made, file);
}
