/**
 * All environment variables that the product reads. A test compares this table with the sources, and
 * docs/reference/configuration.md is generated from it. What the variables of a connected registry mean for the
 * configuration: `document/resolve/module-environment.ts`.
 */
export type Variable = {
  /** Sentences, for the reference. */
  description: string;
  default?: string;
};

/** For operators and deployments. The command line and documents take precedence. */
export const layerVariables = {
  TERRACE_DATA: {
    description:
      'Data folder of the layer, as the option `--data`. Required for a service that runs standalone.',
    default: '`data`',
  },
  TERRACE_LISTEN: {
    description: 'As the field `listen`. For a standalone gateway, port 0 selects any free port.',
    default:
      '`127.0.0.1:5000`; `0.0.0.0:5000` with `TERRACE_CONTAINER=1`; `0.0.0.0:8080` with a connection string',
  },
  TERRACE_CONTAINER: {
    description:
      '`1`, set in the image: by default the layer listens on all addresses of its container, and waits there for its first token. An address of loopback counts as not healthy, unless the container shares the network of its machine.',
  },
  TERRACE_MODE: {
    description: 'As the field `mode`. For a standalone gateway, until the bus has a configuration.',
  },
  TERRACE_TLS: {
    description: "`workload`: IoT Edge's daemon issues the certificates; they are not read from files.",
  },
  TERRACE_TLS_NAMES: {
    description:
      'With `TERRACE_TLS=workload`: names and addresses of this machine that clients use, separated by commas.',
    default: '`IOTEDGE_GATEWAYHOSTNAME`',
  },
  TERRACE_LOG: {
    description:
      'Level of the log: debug, info, warn or error. If set, the field `logLevel` does not apply. With `debug`, a failed command prints a stack trace.',
    default: '`info`, until the configuration is known',
  },
  TERRACE_NATS_SERVER: {
    description: 'Path of the nats-server program.',
    default: 'the one on `PATH`, or of the Debian package, which is installed if root may do so',
  },
  TERRACE_STOP_MS: {
    description:
      'Max time for the graceful shutdown of a process, in ms; after that, it exits with code 1. A syncer finishes the pieces that it sends within half of it: many parents drop an upload if a piece breaks off. On a slow link, pieces take up to 8 s.',
    default: '4000',
  },
  TERRACE_STALL_MS: {
    description: 'A connection to the parent without progress for this time fails, in ms.',
    default: '20000',
  },
  HTTP_PROXY: { description: 'Proxy for the parent and for webhooks over HTTP. Also in lower case.' },
  HTTPS_PROXY: { description: 'The same over HTTPS. Also in lower case.' },
  NO_PROXY: {
    description:
      'Hosts that are reached without a proxy, separated by commas: names (with all names below them), `*.suffix`, addresses, networks such as `10.0.0.0/8` or `[fd00::]/8`, each also with `:port`; `*` for all. Addresses and networks match hosts written as an address: names are not resolved. Also in lower case.',
  },
  NOTIFY_SOCKET: {
    description:
      'Set by a service manager (systemd: `Type=notify`): `terrace up` reports there, by the program `systemd-notify`, that the layer is ready, its state, and its end.',
  },
  WATCHDOG_USEC: {
    description:
      'Set by a service manager with a watchdog: how long it waits for a sign of life, which a layer gives while its services answer.',
  },
  WATCHDOG_PID: { description: 'Set with `WATCHDOG_USEC`: the process that it is for.' },
  SUDO_USER: { description: 'Set by sudo: the person in the audit log.', default: 'the user of the process' },
  NODE_COMPILE_CACHE: { description: "Folder of Node's compile cache.", default: 'in `node_modules/.cache`' },
} satisfies Record<string, Variable>;

/** Names that existing deployments of Azure Container Registry's connected registry use. */
export const connectedRegistryVariables = {
  ACR_REGISTRY_CONNECTION_STRING: {
    description:
      "Name of the layer, its parent and its login there, with a sync token or `ManagedIdentityClientId`. The cloud's data endpoint is replaced by its login server. `$NAME` in `ParentGatewayEndpoint` is a variable of the container. With it, the layer listens on `0.0.0.0:8080` and requires a token. The password is written to `parent.password` in the data volume, readable by its owner only.",
  },
  ACR_PARENT_GATEWAY_ENDPOINT: {
    description: '`host:port` that replaces `ParentGatewayEndpoint` of the connection string.',
  },
  ACR_REGISTRY_LOGIN_SERVER: { description: 'As the field `loginServer`.', default: 'any' },
  ACR_REGISTRY_CERTIFICATE_VOLUME: {
    description: 'Folder with `tls.crt` and `tls.key`, which are used if they exist.',
    default: '`/var/acr/certs` with a connection string',
  },
  ACR_REGISTRY_DATA_VOLUME: {
    description: 'Data folder of the layer. Overrides `TERRACE_DATA`.',
    default: '`/var/acr/data` with a connection string',
  },
} satisfies Record<string, Variable>;

/**
 * Names of OpenTelemetry's specification. Those of the exporter have a form for traces alone, too, such as
 * `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
 */
export const traceVariables = {
  OTEL_TRACES_EXPORTER: {
    description:
      '`otlp`: traces are sent to a collector; `console`: each span is a line of the log; `none`: no traces.',
    default: '`otlp` if an endpoint is set, else `none`',
  },
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    description:
      'Address of the collector for OTLP over HTTP, which is sent as JSON to `<address>/v1/traces`. Turns traces on.',
    default: '`http://localhost:4318`',
  },
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: { description: 'The complete URL instead. Turns traces on.' },
  OTEL_EXPORTER_OTLP_PROTOCOL: {
    description:
      'Traces are sent as `http/json`, which collectors for `http/protobuf` take, too; not by `grpc`.',
  },
  OTEL_EXPORTER_OTLP_HEADERS: {
    description: 'Headers for the collector, as `name=value,name=value`: its credentials, if it needs any.',
  },
  OTEL_EXPORTER_OTLP_TIMEOUT: {
    description: 'Max time to send a batch, with retries, in ms.',
    default: '10000',
  },
  OTEL_EXPORTER_OTLP_COMPRESSION: { description: '`gzip` or `none`.', default: '`none`' },
  OTEL_EXPORTER_OTLP_CERTIFICATE: { description: 'PEM file with the authority of the collector.' },
  OTEL_SERVICE_NAME: {
    description: 'Name of the process in traces.',
    default: '`terrace-<service>`; `terrace` for a process with all services',
  },
  OTEL_RESOURCE_ATTRIBUTES: {
    description: 'Further attributes of the process, as `name=value,name=value`, such as the plant.',
  },
  OTEL_TRACES_SAMPLER: {
    description:
      'Which traces are sampled: `always_on`, `always_off`, `traceidratio`, or the same after `parentbased_`, by which a trace that comes with a request stays as its sender decided.',
    default: '`parentbased_always_on`',
  },
  OTEL_TRACES_SAMPLER_ARG: {
    description: 'Share of the traces for `traceidratio`, from 0 to 1.',
    default: '1',
  },
  OTEL_BSP_SCHEDULE_DELAY: { description: 'How long a span waits for others, in ms.', default: '5000' },
  OTEL_BSP_MAX_QUEUE_SIZE: {
    description: 'Max spans of a process that wait to be sent, up to 65536; further ones are dropped.',
    default: '2048',
  },
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: { description: 'Max spans in a request to the collector.', default: '512' },
  OTEL_SDK_DISABLED: { description: '`true`: no traces, whatever the other variables say.' },
} satisfies Record<string, Variable>;

/** For services that run apart, in processes or containers of their own. `terrace up` sets them for its processes. */
export const serviceVariables = {
  TERRACE_BUS: { description: 'Address of the nats-server, as `nats://host:port`. Required.' },
  TERRACE_NAME: { description: 'Name of the layer.', default: '`layer`' },
  TERRACE_BUS_PASSWORD: {
    description: 'Password of the service for the bus.',
    default: 'in the file `bus/<service>.password` of the data volume',
  },
  TERRACE_CONFIG_FILE: {
    description: 'twin-bridge: YAML file with the configuration document.',
    default: 'only defaults and overrides apply',
  },
  TERRACE_OPTIONS: { description: 'twin-bridge: fields that override those of the document, as JSON.' },
  TERRACE_DEFAULTS: {
    description: 'twin-bridge: fields that apply unless the document has them, as JSON.',
    default: 'those that the environment implies',
  },
  TERRACE_TLS_CERTIFICATE: {
    description: 'gateway: PEM file with the certificate and its chain. Empty, like the key: plain HTTP.',
    default: 'as the configuration says',
  },
  TERRACE_TLS_KEY: { description: 'gateway: PEM file with the private key.' },
  TERRACE_GATEWAYS: {
    description:
      'gateway: number of gateway processes that listen on the port. Absent: this one listens alone on it, and others may exist elsewhere.',
  },
  TERRACE_INSECURE_LISTEN: { description: 'gateway: `1` admits clients without a token, on any address.' },
  TERRACE_AWAIT_TOKEN: {
    description: 'gateway: `1` does not listen before the first token exists.',
  },
  TERRACE_CLOSED: { description: 'gateway: `1` starts without any token, and rejects clients without one.' },
  TERRACE_ALONE: {
    description:
      'storage: `1` runs without a layer, for one command; archives then have the name of its last start.',
  },
  TERRACE_COMPLETION_MS: {
    default: '`1000`',
    description: 'completion in a shell: max time for names of the layer, in ms.',
  },
  TERRACE_PERSON: { description: 'storage: the person who started the layer, for the audit log.' },
} satisfies Record<string, Variable>;

/** Set by edgeAgent for each module of IoT Edge. Without `IOTEDGE_WORKLOADURI`, the process is no module. */
export const moduleVariables = {
  IOTEDGE_WORKLOADURI: {
    description:
      'Workload API of the device. The module twin is the configuration document, above the file; the trust bundle of the device is trusted for the parent; a layer that listens to other machines requires a token.',
  },
  IOTEDGE_MODULEID: { description: 'Name of the module. Proxies in private networks are trusted.' },
  IOTEDGE_MODULEGENERATIONID: { description: 'Generation of the module, for its signatures.' },
  IOTEDGE_DEVICEID: { description: 'Name of the device.' },
  IOTEDGE_IOTHUBHOSTNAME: { description: 'Host of the hub.' },
  IOTEDGE_GATEWAYHOSTNAME: { description: 'Host of edgeHub.' },
  IOTEDGE_PARENTHOSTNAME: { description: 'Host of the device above, if there is one.' },
} satisfies Record<string, Variable>;
