import { piecesOf } from './iotedge-options.ts';

/** Deployment manifests of IoT Edge for one layer. Pure. */

export const layers = ['top', 'nested', 'pass-through'] as const;
export type LayerKind = (typeof layers)[number];

export type ManifestOptions = {
  /** `top`: its parent is a registry; `nested`: the device above; `pass-through`: the proxy alone, without a registry. */
  layer: LayerKind;
  /** Of Terrace, as this device pulls it: below the top `$upstream:PORT/…`. */
  image: string;
  /** host[:port] of the registry above a top layer. */
  parent: string;
  /** Name of the layer, and of its sync token unless `token` says otherwise. */
  name: string;
  token: string;
  password: string;
  /** Of the API proxy, in every layer the same. */
  port: number;
  /** Folder of the device for what is to stay. */
  folder: string;
  /** uid:gid that owns it. */
  user: string;
  edge: string;
  /** The document of the layer's twin; none leaves the twin to its operators. */
  desired?: object | undefined;
};

const MODULE = 'terrace';
/** Below one another, proxies know each other by the names of their modules. */
const PROXY = 'IoTEdgeAPIProxy';
const LogConfig = { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } };

export function manifestOf(options: ManifestOptions): object {
  const { layer, desired, edge, folder } = options;
  const hasRegistry = layer !== 'pass-through';
  return {
    modulesContent: {
      $edgeAgent: {
        'properties.desired': {
          schemaVersion: '1.1',
          runtime: { type: 'docker', settings: { registryCredentials: credentialsOf(options) } },
          systemModules: {
            edgeAgent: {
              type: 'docker',
              settings: settings(microsoft(options, `azureiotedge-agent:${edge}`), {
                HostConfig: { LogConfig },
              }),
            },
            edgeHub: {
              type: 'docker',
              status: 'running',
              restartPolicy: 'always',
              startupOrder: 0,
              env: environment({
                storageFolder: '/iotedge/storage',
                MinTwinSyncPeriodSecs: '30',
                ConnectivityCheckFrequencySecs: '60',
                OptimizeForPerformance: 'false',
              }),
              settings: settings(microsoft(options, `azureiotedge-hub:${edge}`), {
                HostConfig: {
                  Binds: [`${folder}/edgehub:/iotedge/storage`],
                  PortBindings: ports(options.port === 443 ? [5671, 8883] : [443, 5671, 8883]),
                  LogConfig,
                },
              }),
            },
          },
          modules: {
            ...(hasRegistry && { [MODULE]: registry(options) }),
            [PROXY]: proxy(options),
          },
        },
      },
      $edgeHub: {
        'properties.desired': {
          schemaVersion: '1.2',
          routes: {},
          storeAndForwardConfiguration: { timeToLiveSecs: 7200 },
        },
      },
      ...(hasRegistry && desired && { [MODULE]: { 'properties.desired': desired } }),
    },
  };
}

function registry(options: ManifestOptions): object {
  const { layer, image, name, token, password, port, folder, user, parent } = options;
  const above = layer === 'top' ? parent : `$IOTEDGE_PARENTHOSTNAME:${port}`;
  return {
    version: '1.0',
    type: 'docker',
    status: 'running',
    restartPolicy: 'always',
    startupOrder: 1,
    env: environment({
      ACR_REGISTRY_CONNECTION_STRING: `ConnectedRegistryName=${name};SyncTokenName=${token};SyncTokenPassword=${password};ParentGatewayEndpoint=${above};ParentEndpointProtocol=https`,
    }),
    settings: settings(image, {
      Cmd: ['up', '--log-json'],
      User: user,
      Healthcheck: { Test: ['CMD', 'terrace', 'health'], Interval: 30e9, Timeout: 10e9, StartPeriod: 30e9 },
      HostConfig: {
        Binds: [`${folder}/terrace:/var/acr/data`],
        ReadonlyRootfs: true,
        Tmpfs: { '/tmp': 'rw,size=64m' },
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        LogConfig,
      },
    }),
  };
}

function proxy(options: ManifestOptions): object {
  const { layer, port } = options;
  return {
    version: '1.0',
    type: 'docker',
    status: 'running',
    restartPolicy: 'always',
    // nginx does not start while the registry's name does not resolve.
    startupOrder: 2,
    env: environment({
      NGINX_DEFAULT_PORT: String(port),
      NGINX_DEFAULT_TLS: 'TLSv1.2 TLSv1.3',
      ...(layer !== 'pass-through' && { CONNECTED_ACR_ROUTE_ADDRESS: `${MODULE}:8080` }),
    }),
    settings: settings(microsoft(options, 'azureiotedge-api-proxy:1.1'), {
      ExposedPorts: { [`${port}/tcp`]: {} },
      HostConfig: { PortBindings: ports([port]), LogConfig },
    }),
  };
}

/** Below the top, by the sync token of this layer: its registry is not there yet. */
function credentialsOf({ layer, image, parent, token, password, port }: ManifestOptions): object {
  const login = { username: token, password };
  if (layer !== 'top') return { parent: { address: `$upstream:${port}`, ...login } };
  return image.startsWith(`${parent}/`) ? { parent: { address: parent, ...login } } : {};
}

const microsoft = ({ layer, port }: ManifestOptions, image: string): string =>
  layer === 'top' ? `mcr.microsoft.com/${image}` : `$upstream:${port}/${image}`;

const settings = (image: string, options: object) => ({ image, ...piecesOf(options) });

const environment = (values: Record<string, string>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }]));

const ports = (numbers: number[]) =>
  Object.fromEntries(numbers.map((number) => [`${number}/tcp`, [{ HostPort: String(number) }]]));
