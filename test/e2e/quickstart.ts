/**
 * Modules that the connected registry's quickstarts for IoT Edge deploy: of a top layer, and of a nested one
 * (MicrosoftDocs/azure-docs, "Deploy a connected registry to an IoT Edge device", and its tutorial for a nested one).
 */
type Module = {
  settings: { image: string; createOptions: string };
  type: 'docker';
  env: Record<string, { value: string }>;
  status: 'running';
  restartPolicy: 'always';
  version: '1.0';
};

const module = (image: string, connection: string): Module => ({
  settings: {
    image,
    createOptions: '{"HostConfig":{"Binds":["/home/azureuser/connected-registry:/var/acr/data"]}}',
  },
  type: 'docker',
  env: { ACR_REGISTRY_CONNECTION_STRING: { value: connection } },
  status: 'running',
  restartPolicy: 'always',
  version: '1.0',
});

export const topModule = (login: { token: string; password: string }): Module =>
  module(
    'contoso.azurecr.io/acr/connected-registry:0.8.0',
    `ConnectedRegistryName=myconnectedregistry;SyncTokenName=${login.token};SyncTokenPassword=${login.password};ParentGatewayEndpoint=contoso.eastus.data.azurecr.io;ParentEndpointProtocol=https`,
  );

export const nestedModule = (login: {
  token: string;
  password: string;
  port: number;
  protocol: string;
}): Module =>
  module(
    '$upstream:8000/acr/connected-registry:0.8.0',
    `ConnectedRegistryName=MyConnectedMirror;SyncTokenName=${login.token};SyncTokenPassword=${login.password};ParentGatewayEndpoint=$IOTEDGE_PARENTHOSTNAME:${login.port};ParentEndpointProtocol=${login.protocol}`,
  );

/** The environment that edgeAgent gives to the container. */
export const environmentOf = ({ env }: Module): Record<string, string> =>
  Object.fromEntries(Object.entries(env).map(([name, { value }]) => [name, value]));
