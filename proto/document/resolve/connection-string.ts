import { Fault } from '../../contract/fault.ts';

/**
 * The connection string of Azure Container Registry's connected registry, as `az acr connected-registry get-settings`
 * prints it:
 *
 *   ConnectedRegistryName=…;SyncTokenName=…;SyncTokenPassword=…;ParentGatewayEndpoint=host[:port];ParentEndpointProtocol=https
 *
 * or, with `ManagedIdentityClientId=…` instead of the sync token, for a layer directly below the cloud. Pure.
 */

export type ConnectionString = {
  /** ConnectedRegistryName, in lower case. */
  name: string;
  /** The parent's URL, for the registry's API. */
  url: string;
  login: { username: string; password: string } | { clientId: string };
};

const KEYS = [
  'ConnectedRegistryName',
  'SyncTokenName',
  'SyncTokenPassword',
  'ManagedIdentityClientId',
  'ParentGatewayEndpoint',
  'ParentEndpointProtocol',
] as const;
type Key = (typeof KEYS)[number];
const isKey = (text: string): text is Key => (KEYS as readonly string[]).includes(text);

/** For the cloud, ParentGatewayEndpoint is a data endpoint; the registry's API is at the login server. */
const CLOUD = /^([a-z0-9]+)\.[a-z0-9]+\.data\.(azurecr\.[a-z]+)$/i;
const ENDPOINT = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?$/;

/**
 * @param env variables for the endpoint, such as `$IOTEDGE_PARENTHOSTNAME:8000`
 * @param endpoint replaces ParentGatewayEndpoint (ACR_PARENT_GATEWAY_ENDPOINT)
 * @throws Fault `config-invalid`: names the key and the remedy, and never contains a password
 */
export function parseConnectionString(
  text: string,
  env: Record<string, string | undefined> = {},
  endpoint?: string,
): ConnectionString {
  const values = valuesOf(text);
  const need = (key: Key): string =>
    values.get(key) || fail(`lacks ${key}: print it again with get-settings`);
  return {
    name: layerName(need('ConnectedRegistryName')),
    url: urlOf(expand(endpoint || need('ParentGatewayEndpoint'), env), values.get('ParentEndpointProtocol')),
    login: loginOf(values, need),
  };
}

function valuesOf(text: string): Map<Key, string> {
  const values = new Map<Key, string>();
  // Tools that write it to a file add a byte order mark and line breaks.
  for (const pair of text.replace(/[\uFEFF\r\n]/g, '').split(';')) {
    if (pair.trim() === '') continue;
    // At the first "=": passwords end in one.
    const at = pair.indexOf('=');
    const key = pair.slice(0, at).trim();
    // A part without a known key may be a piece of a password: show only what looks like a key.
    if (at < 1 || !isKey(key)) {
      const shown = /^[A-Z][A-Za-z]{0,40}$/.test(key) && at > 0 ? key : 'a part that is not Key=value';
      fail(`has ${shown}, which is unknown: the keys are ${KEYS.join(', ')}`);
    }
    if (values.has(key)) fail(`has ${key} twice: remove one of them`);
    values.set(key, pair.slice(at + 1).trim());
  }
  return values;
}

function loginOf(values: Map<Key, string>, need: (key: Key) => string): ConnectionString['login'] {
  const clientId = values.get('ManagedIdentityClientId');
  if (!clientId) return { username: need('SyncTokenName'), password: need('SyncTokenPassword') };
  if (values.get('SyncTokenName') || values.get('SyncTokenPassword')) {
    fail('has both SyncTokenName or SyncTokenPassword and ManagedIdentityClientId: remove one of the two');
  }
  return { clientId };
}

function urlOf(endpoint: string, protocol: string | undefined): string {
  if (!ENDPOINT.test(endpoint))
    fail('has a ParentGatewayEndpoint that is not valid: write host or host:port');
  const [, registry, domain] = CLOUD.exec(endpoint) ?? [];
  if (registry) return `https://${registry.toLowerCase()}.${domain?.toLowerCase()}`;
  if (!protocol) fail('lacks ParentEndpointProtocol: add ParentEndpointProtocol=https, or http');
  const scheme = protocol.toLowerCase();
  if (scheme !== 'https' && scheme !== 'http')
    fail('has a ParentEndpointProtocol that is not valid: write http or https');
  return `${scheme}://${endpoint}`;
}

/** Only the module itself can name its parent: IoT Edge does not replace `$upstream` within a variable. */
function expand(text: string, env: Record<string, string | undefined>): string {
  return text.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_all, braced, plain) => {
    const name: string = braced ?? plain;
    return (
      env[name] ||
      fail(
        `uses $${name} in ParentGatewayEndpoint, and that variable is not set: write the parent's host name (IoT Edge sets IOTEDGE_PARENTHOSTNAME only below another layer)`,
      )
    );
  });
}

function layerName(name: string): string {
  const layer = name
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return (
    layer || fail('has a ConnectedRegistryName without a letter or digit: print it again with get-settings')
  );
}

function fail(why: string): never {
  throw new Fault('config-invalid', `ACR_REGISTRY_CONNECTION_STRING ${why}`);
}
