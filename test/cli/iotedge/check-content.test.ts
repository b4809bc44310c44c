import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manifestComplaints } from '../../../cli/iotedge/iotedge-check.ts';
import { type Any, agentOf, hubOf, readyExample } from './examples.ts';
import { bind, rows } from './rows.ts';

/** What a device would refuse of a manifest that is valid by the published schemas. */

rows('the form of the manifest', [
  [(_agent, _desired, manifest) => delete manifest.modulesContent.$edgeHub, /^\$edgeHub is missing: write/],
  [(_agent, _desired, manifest) => delete manifest.modulesContent, /^modulesContent is missing/],
  [
    (_agent, _desired, manifest) => (manifest.modulesContent.terrace = {}),
    /^terrace has no "properties\.desired"/,
  ],
  [(_agent, _desired, manifest) => (manifest.modulesContent.terrace = null), /^terrace is not an object/],
  [
    (_agent, _desired, { modulesContent }) => (modulesContent.terrace.tags = {}),
    /^terrace\.tags is not a field: write properties\.desired/,
  ],
  [
    (_agent, _desired, { modulesContent }) => (modulesContent.terrace = { 'properties.desired': [] }),
    /^terrace\.properties\.desired is not an object/,
  ],
  [
    (_agent, _desired, { modulesContent }) => (modulesContent.other = { 'properties.desired': {} }),
    /^other is not a module of \$edgeAgent/,
  ],
  [
    (_agent, _desired, { modulesContent }) => (modulesContent.$edgeHup = { 'properties.desired': {} }),
    /^\$edgeHup is not a module of \$edgeAgent/,
  ],
]);

rows('images, logins and create options', [
  [(agent) => (agent.modules.terrace.settings.image = '$upstream/terrace:1'), /\$upstream without a port/],
  [
    (agent) => (agent.modules.terrace.settings.image = 'https://host/terrace:1'),
    /settings\.image .* is not valid/,
  ],
  [
    (agent) => (agent.modules.terrace.settings.image = '$upstream:8000/Terrace:1'),
    /the repository in lower case/,
  ],
  [(agent) => (agent.modules.terrace.settings.image = '$MODULES.terrace'), /settings\.image .* is not valid/],
  [(agent) => (agent.modules.terrace.settings.image = ''), /settings\.image is missing/],
  [
    (agent) => (agent.runtime.settings.registryCredentials.parent.address = '$upstream'),
    /registryCredentials\.parent\.address .* without a port/,
  ],
  [
    (agent) => (agent.runtime.settings.registryCredentials.parent.address = 'https://contoso.azurecr.io'),
    /registryCredentials\.parent\.address .* without https/,
  ],
  [(agent) => (agent.runtime.settings.registryCredentials.parent.username = ''), /parent\.username is empty/],
  [(agent) => (agent.modules.terrace.settings.createOptions = '{'), /createOptions is not JSON/],
  [
    (agent) => (agent.modules.IoTEdgeAPIProxy.settings.createOptions = '[]'),
    /createOptions is not an object/,
  ],
  [(agent) => (agent.modules.terrace.settings.createOptions03 = ''), /createOptions\d\d is missing/],
  [
    (agent) => (agent.modules.terrace.settings.createOptions += ' '.repeat(512)),
    /longer than 512 characters/,
  ],
]);

rows('ports of the device', [
  [
    (agent) => bind(agent, { HostPort: '8000' }),
    /8000\/tcp, which is bound by other and by IoTEdgeAPIProxy|8000\/tcp, which is bound by IoTEdgeAPIProxy and by other/,
  ],
  [
    (agent) => bind(agent, { HostPort: '443', HostIp: '10.0.0.1' }),
    /443\/tcp, which is bound by edgeHub and by other/,
  ],
  [
    (agent) => bind(agent, { HostPort: '9000' }, { HostPort: '9000' }),
    /9000\/tcp, which is bound twice by other/,
  ],
  [(agent) => bind(agent, { HostPort: '7990-8000' }), /8000\/tcp, which is bound by/],
  [(agent) => bind(agent, { HostPort: '8000-7990' }), /HostPort "8000-7990" .* is not valid/],
  [
    (agent) => bind(agent, { HostPort: '1-442' }, { HostPort: '400-401' }),
    /400\/tcp, which is bound twice by other/,
  ],
  [
    (agent) => bind(agent, { HostPort: '70000' }),
    /HostPort "70000" .* is not valid: write a port from 1 to 65535/,
  ],
  [(agent) => bind(agent, { HostPort: 9000 }), /HostPort 9000 .* is not valid/],
  [(agent) => bind(agent, { HostPort: 'NaN' }), /HostPort "NaN" .* is not valid/],
  [
    (agent) => {
      const options = { HostConfig: { PortBindings: { 'NaN/tcp': [{ HostPort: '9000' }] } } };
      bind(agent).settings.createOptions = JSON.stringify(options);
    },
    /port binding "NaN\/tcp", which is not valid/,
  ],
]);

test('ports that do not collide are valid', async () => {
  const valid: ((agent: Any) => void)[] = [
    (agent) => bind(agent, { HostPort: '9000' }, { HostPort: '' }, {}),
    (agent) => (bind(agent, { HostPort: '8000' }).status = 'stopped'),
    (agent) => {
      const PortBindings = { '80/udp': [{ HostPort: '8000' }] };
      bind(agent).settings.createOptions = JSON.stringify({ HostConfig: { PortBindings } });
    },
    (agent) =>
      bind(agent, { HostPort: '9000', HostIp: '10.0.0.1' }, { HostPort: '9000', HostIp: '10.0.0.2' }),
  ];
  for (const change of valid) {
    const manifest = await readyExample('nested');
    change(agentOf(manifest));
    assert.deepEqual(manifestComplaints(manifest), [], String(change));
  }
});

const acr = 'CONNECTED_ACR_ROUTE_ADDRESS';

rows('routes of the proxy and of messages', [
  [
    (agent) => (agent.modules.IoTEdgeAPIProxy.env[acr].value = 'registry:8080'),
    /names registry, which is not a module/,
  ],
  [
    (agent) => (agent.modules.IoTEdgeAPIProxy.env[acr].value = 'terrace'),
    /"terrace" is not valid: write MODULE:PORT/,
  ],
  [
    (agent) => (agent.modules.IoTEdgeAPIProxy.env[acr].value = 'http://terrace:8080'),
    /is not valid: write MODULE:PORT/,
  ],
  [
    (agent) => (agent.modules.IoTEdgeAPIProxy.env[acr].value = 'terrace:5000'),
    /terrace listens on 8080: write terrace:8080/,
  ],
  [
    (agent) => (agent.modules.IoTEdgeAPIProxy.env.BLOB_UPLOAD_ROUTE_ADDRESS = { value: 'blobs:11002' }),
    /BLOB_UPLOAD_ROUTE_ADDRESS names blobs, which is not a module/,
  ],
  [
    (_agent, _desired, manifest) => (hubOf(manifest).routes.a = 'FROM /messages/*'),
    /routes\.a is not a route/,
  ],
  [
    (_agent, _desired, manifest) => (hubOf(manifest).routes.a = 'FROM x INTO $upstream'),
    /routes\.a is not a route/,
  ],
  [
    (_agent, _desired, manifest) => (hubOf(manifest).routes.a = { route: 'INTO $upstream' }),
    /routes\.a is not a/,
  ],
  [
    (_agent, _desired, manifest) => (hubOf(manifest).routes.a = 'FROM /* INTO upstream'),
    /routes\.a is not a route/,
  ],
  [
    (_agent, _desired, manifest) =>
      (hubOf(manifest).routes.a =
        'FROM /messages/* WHERE x > 1 INTO BrokeredEndpoint("/modules/filter/inputs/one")'),
    /routes\.a leads to filter, which is not a module/,
  ],
]);

test('routes and ranges of any length are checked at once', async () => {
  const manifest = await readyExample('nested');
  bind(agentOf(manifest), { HostPort: '9000-65535' });
  hubOf(manifest).routes.long = `FROM /* WHERE ${' '.repeat(3_000)}x${' INTO'.repeat(200)}`;
  hubOf(manifest).routes.blanks = ' from  /messages/*  where a = "INTO $upstream"\tinto  $upstream  ';
  const started = process.cpuUsage();
  const complaints = manifestComplaints(manifest);
  assert.deepEqual(
    complaints.map((complaint) => complaint.split(' ')[0]),
    ['$edgeHub.routes.long'],
  );
  assert.ok(process.cpuUsage(started).user < 1_000_000);
});
