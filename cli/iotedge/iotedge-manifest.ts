import { piecesOf } from './iotedge-options.ts';

/**
 * Deployment manifests of IoT Edge. Pure: nothing in this folder connects to a hub or a device.
 *
 * Life of a manifest: `terrace iotedge manifest` builds it for one layer with `deploymentManifest`: edgeAgent, edgeHub,
 * the API proxy and, in a layer with a registry, Terrace with its connection string and twin. The create options of
 * each container are cut into pieces that a twin takes (iotedge-options.ts). The manifest is validated
 * (iotedge-check.ts), printed, and applied to a device by its operator. `terrace iotedge check` validates a manifest
 * that was edited by hand.
 */

export const layerKinds = ['top', 'nested', 'pass-through'] as const;
export type LayerKind = (typeof layerKinds)[number];

export type ManifestOptions = {
  /** `top`: the parent is a registry; `nested`: it is the device above; `pass-through`: only the proxy, no registry. */
  layer: LayerKind;
  /** Image of Terrace as this device pulls it: below the top `$upstream:PORT/…`. */
  image: string;
  /** host[:port] of the registry above a top layer. */
  parent: string;
  /** Name of the layer. */
  name: string;
  /** Name of its sync token at the parent. */
  token: string;
  password: string;
  /** Port of the API proxy, the same in every layer. */
  port: number;
  /** Folder of the device for persistent data. */
  folder: string;
  /** uid:gid of Terrace, which owns its folder there. */
  user: string;
  /** Version of edgeAgent and edgeHub: a tag of their images. */
  edge: string;
  /** Desired properties of the layer's twin; if absent, the manifest leaves the twin to its operators. */
  desired?: object | undefined;
};

const MODULE = 'terrace';
/** Nested proxies find each other by this module name. */
const PROXY = 'IoTEdgeAPIProxy';
const LogConfig = { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } };

export function deploymentManifest(options: ManifestOptions): object {
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
              settings: moduleSettings(microsoftImage(options, `azureiotedge-agent:${edge}`), {
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
              settings: moduleSettings(microsoftImage(options, `azureiotedge-hub:${edge}`), {
                HostConfig: {
                  Binds: [`${folder}/edgehub:/iotedge/storage`],
                  PortBindings: portBindings(options.port === 443 ? [5671, 8883] : [443, 5671, 8883]),
                  LogConfig,
                },
              }),
            },
          },
          modules: {
            ...(hasRegistry && { [MODULE]: registryModule(options) }),
            [PROXY]: proxyModule(options),
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

function registryModule(options: ManifestOptions): object {
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
    settings: moduleSettings(image, {
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

function proxyModule(options: ManifestOptions): object {
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
    settings: moduleSettings(microsoftImage(options, 'azureiotedge-api-proxy:1.1'), {
      ExposedPorts: { [`${port}/tcp`]: {} },
      HostConfig: { PortBindings: portBindings([port]), LogConfig },
    }),
  };
}

/**
 * Below the top, edgeAgent pulls from the parent with this layer's sync token: the layer's registry does not run yet.
 */
function credentialsOf({ layer, image, parent, token, password, port }: ManifestOptions): object {
  const login = { username: token, password };
  if (layer !== 'top') return { parent: { address: `$upstream:${port}`, ...login } };
  return image.startsWith(`${parent}/`) ? { parent: { address: parent, ...login } } : {};
}

const microsoftImage = ({ layer, port }: ManifestOptions, image: string): string =>
  layer === 'top' ? `mcr.microsoft.com/${image}` : `$upstream:${port}/${image}`;

const moduleSettings = (image: string, options: object) => ({ image, ...piecesOf(options) });

const environment = (values: Record<string, string>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }]));

const portBindings = (numbers: number[]) =>
  Object.fromEntries(numbers.map((number) => [`${number}/tcp`, [{ HostPort: String(number) }]]));
