import type { Overrides } from '#proto/document/resolve/resolve.ts';
import { matchesPattern } from '#proto/oci/repository-pattern.ts';
import { piecesOf } from './schema/create-options.ts';

/**
 * Deployment manifests of IoT Edge. Pure: nothing in this folder connects to a hub or a device.
 *
 * Life of a manifest: `terrace iotedge manifest` builds it for one layer with `deploymentManifest`: edgeAgent, edgeHub,
 * the API proxy and, in a layer with a registry, Terrace with its connection string and twin. The options are validated
 * by manifest-options.ts; the create options of each container are cut into pieces that a twin takes
 * (schema/create-options.ts). The manifest is validated (iotedge-check.ts), printed, and applied to a device by its
 * operator. `terrace iotedge check` validates a manifest that was edited by hand.
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
  /** What the layer's twin desires; if absent, the manifest leaves the twin to its operators. */
  desired?:
    | { mode: string; challenge: string; repositories: ManifestRepository[]; children: ManifestChild[] }
    | undefined;
};

/** A pattern; or, for repositories that have another name in the layer than at its parent, both. */
export type ManifestRepository = NonNullable<Overrides['repositories']>[number];

/** A layer below, and the hash of the password of its sync token. */
export type ManifestChild = { name: string; hash: string };

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
          // Those of all modules: without it, the hub drops their telemetry.
          routes: { upstream: 'FROM /messages/* INTO $upstream' },
          storeAndForwardConfiguration: { timeToLiveSecs: 7200 },
        },
      },
      ...(hasRegistry && desired && { [MODULE]: { 'properties.desired': documentOf(options, desired) } }),
    },
  };
}

/** Images that a device pulls from the registry above it, besides that of Terrace. */
const EDGE_IMAGES = ['azureiotedge-agent', 'azureiotedge-hub', 'azureiotedge-api-proxy'];

/** The configuration document in the twin. With layers below, the layer also has the images of their modules. */
function documentOf(options: ManifestOptions, desired: NonNullable<ManifestOptions['desired']>): object {
  const { mode, challenge, children } = desired;
  const images = children.length > 0 ? [...EDGE_IMAGES, terraceRepository(options)] : [];
  const names = desired.repositories.map((one) =>
    typeof one === 'string' ? one : (one.as ?? one.name ?? ''),
  );
  const missing = images.filter((image) => !matchesPattern(names, image));
  const ofChild = { mode, repositories: [...names, ...missing] };
  return {
    mode,
    challenge,
    repositories: [...desired.repositories, ...missing],
    ...(children.length > 0 && {
      children: children.map(({ name, hash }) => ({ name, ...ofChild, passwords: [hash] })),
    }),
  };
}

/** Where the layers below find the image of Terrace. */
function terraceRepository({ image, layer, parent, port }: ManifestOptions): string {
  const above = `${layer === 'top' ? parent : `$upstream:${port}`}/`;
  const path = image.startsWith(above) ? image.slice(above.length) : 'terrace';
  return (path.split('@', 1)[0] as string).replace(/:[^/:]*$/, '');
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
