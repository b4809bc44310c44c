import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manifestComplaints } from '../../../cli/iotedge/iotedge-check.ts';
import { type Any, agentOf, hubOf, readyExample } from './examples.ts';

/** Violations of the published schemas of deployment manifests, each with the one complaint about it. */

/** `complaint`: its beginning. */
type Row = [change: (agent: Any, hub: Any) => void, complaint: string];

function rows(title: string, table: Row[]): void {
  test(title, async () => {
    for (const [change, expected] of table) {
      const manifest = await readyExample('nested');
      change(agentOf(manifest), hubOf(manifest));
      const complaints = manifestComplaints(manifest);
      assert.ok(complaints[0]?.startsWith(expected), `${change}: ${complaints.join('\n')}`);
      assert.equal(complaints.length, 1, `${change}: ${complaints.join('\n')}`);
    }
  });
}

const terrace = '$edgeAgent.modules.terrace';
const login = '$edgeAgent.runtime.settings.registryCredentials';

rows('edgeAgent lacks a field that it requires', [
  [(agent) => delete agent.schemaVersion, '$edgeAgent.schemaVersion is missing: write "1.1" or "1.0"'],
  [(agent) => delete agent.runtime, '$edgeAgent.runtime is missing'],
  [(agent) => delete agent.runtime.type, '$edgeAgent.runtime.type is missing: write docker'],
  [(agent) => delete agent.runtime.settings, '$edgeAgent.runtime.settings is missing'],
  [
    (agent) => delete agent.runtime.settings.registryCredentials.parent.address,
    `${login}.parent.address is missing`,
  ],
  [
    (agent) => delete agent.runtime.settings.registryCredentials.parent.username,
    `${login}.parent.username is missing`,
  ],
  [
    (agent) => delete agent.runtime.settings.registryCredentials.parent.password,
    `${login}.parent.password is missing`,
  ],
  [(agent) => delete agent.systemModules.edgeAgent, '$edgeAgent.systemModules.edgeAgent is missing'],
  [(agent) => delete agent.systemModules.edgeHub, '$edgeAgent.systemModules.edgeHub is missing'],
  [
    (agent) => delete agent.systemModules.edgeAgent.type,
    '$edgeAgent.systemModules.edgeAgent.type is missing',
  ],
  [
    (agent) => delete agent.systemModules.edgeAgent.settings,
    '$edgeAgent.systemModules.edgeAgent.settings is missing',
  ],
  [
    (agent) => delete agent.systemModules.edgeHub.status,
    '$edgeAgent.systemModules.edgeHub.status is missing',
  ],
  [
    (agent) => delete agent.systemModules.edgeHub.restartPolicy,
    '$edgeAgent.systemModules.edgeHub.restartPolicy is',
  ],
  [(agent) => delete agent.modules.terrace.type, `${terrace}.type is missing: write docker`],
  [(agent) => delete agent.modules.terrace.status, `${terrace}.status is missing: write running or stopped`],
  [
    (agent) => delete agent.modules.terrace.restartPolicy,
    `${terrace}.restartPolicy is missing: write always or`,
  ],
  [
    (agent) => delete agent.modules.terrace.settings.image,
    `${terrace}.settings.image is missing: name the image`,
  ],
  [
    (agent) => (agent.modules.IoTEdgeAPIProxy.env.A = {}),
    '$edgeAgent.modules.IoTEdgeAPIProxy.env.A.value is missing',
  ],
]);

rows('edgeAgent has a value that it does not take', [
  [
    (agent) => (agent.schemaVersion = '2.0'),
    '$edgeAgent.schemaVersion "2.0" is not valid: write "1.1" or "1.0"',
  ],
  [(agent) => (agent.schemaVersion = 1.1), '$edgeAgent.schemaVersion 1.1 is not valid'],
  [(agent) => (agent.schemaVersion = '1.10'), '$edgeAgent.schemaVersion "1.10" is not valid'],
  [
    (agent) => (agent.runtime = []),
    '$edgeAgent.runtime is not valid: write an object with the fields type, settings',
  ],
  [(agent) => (agent.runtime.type = 'podman'), '$edgeAgent.runtime.type "podman" is not valid: write docker'],
  [
    (agent) => (agent.runtime.settings.minDockerVersion = 1.25),
    '$edgeAgent.runtime.settings.minDockerVersion 1.25 is',
  ],
  [
    (agent) => (agent.runtime.settings.loggingOptions = {}),
    '$edgeAgent.runtime.settings.loggingOptions is not valid',
  ],
  [
    (agent) => (agent.runtime.settings.registryCredentials = []),
    `${login} is not valid: write an object of logins`,
  ],
  [
    (agent) => (agent.runtime.settings.registryCredentials.parent.password = 1),
    `${login}.parent.password is not valid`,
  ],
  [(agent) => (agent.modules.terrace.version = 1), `${terrace}.version 1 is not valid: write a string`],
  [(agent) => (agent.modules.terrace.type = 'wasm'), `${terrace}.type "wasm" is not valid: write docker`],
  [(agent) => (agent.modules.terrace.status = 'paused'), `${terrace}.status "paused" is not valid`],
  [
    (agent) => (agent.modules.terrace.restartPolicy = 'sometimes'),
    `${terrace}.restartPolicy "sometimes" is not`,
  ],
  [
    (agent) => (agent.modules.terrace.imagePullPolicy = 'always'),
    `${terrace}.imagePullPolicy "always" is not valid`,
  ],
  [
    (agent) => (agent.modules.terrace.startupOrder = -1),
    `${terrace}.startupOrder -1 is not valid: write a whole`,
  ],
  [
    (agent) => (agent.modules.terrace.startupOrder = 2 ** 32),
    `${terrace}.startupOrder 4294967296 is not valid`,
  ],
  [(agent) => (agent.modules.terrace.startupOrder = '1'), `${terrace}.startupOrder "1" is not valid`],
  [(agent) => (agent.modules.terrace.startupOrder = 1.5), `${terrace}.startupOrder 1.5 is not valid`],
  [
    (agent) => (agent.modules.IoTEdgeAPIProxy.env.A = { value: [] }),
    '$edgeAgent.modules.IoTEdgeAPIProxy.env.A.value is',
  ],
  [
    (agent) => (agent.modules.IoTEdgeAPIProxy.env.A = 'x'),
    '$edgeAgent.modules.IoTEdgeAPIProxy.env.A is not valid',
  ],
  [
    (agent) => (agent.modules.IoTEdgeAPIProxy.env = []),
    '$edgeAgent.modules.IoTEdgeAPIProxy.env is not valid',
  ],
  [(agent) => (agent.modules.other = null), '$edgeAgent.modules.other is not valid: write an object'],
]);

rows('edgeAgent has a field or a name that it does not know', [
  [
    (agent) => (agent.colour = 'red'),
    '$edgeAgent.colour is not a field: the fields are schemaVersion, runtime',
  ],
  [(agent) => (agent.runtime.colour = 'red'), '$edgeAgent.runtime.colour is not a field'],
  [(agent) => (agent.runtime.settings.colour = 'red'), '$edgeAgent.runtime.settings.colour is not a field'],
  [
    (agent) => (agent.runtime.settings.registryCredentials.parent.token = ''),
    `${login}.parent.token is not a field`,
  ],
  [(agent) => (agent.runtime.settings.registryCredentials['a b'] = 1), `${login}.a b is not a valid name`],
  [(agent) => (agent.systemModules.edgeLog = {}), '$edgeAgent.systemModules.edgeLog is not a field'],
  [
    (agent) => (agent.systemModules.edgeAgent.status = 'running'),
    '$edgeAgent.systemModules.edgeAgent.status is not',
  ],
  [
    (agent) => (agent.systemModules.edgeHub.version = '1'),
    '$edgeAgent.systemModules.edgeHub.version is not a field',
  ],
  [
    (agent) => (agent.modules.terrace.colour = 'red'),
    `${terrace}.colour is not a field: the fields are version, type`,
  ],
  [
    (agent) => (agent.modules.terrace.settings.colour = 'red'),
    `${terrace}.settings.colour is not a valid name`,
  ],
  [
    (agent) => (agent.modules.IoTEdgeAPIProxy.env.A = { value: 1, x: 1 }),
    '$edgeAgent.modules.IoTEdgeAPIProxy.env.A.x is',
  ],
  [
    (agent) => (agent.modules['a b'] = 1),
    '$edgeAgent.modules.a b is not a valid name: use letters, digits, _ and -',
  ],
  ...['A+B', 'A#B', 'A$B', 'A.B', 'A B'].map(
    (name): Row => [
      (agent) => (agent.modules.IoTEdgeAPIProxy.env[name] = { value: '1' }),
      `$edgeAgent.modules.IoTEdgeAPIProxy.env.${name} is not a valid name: use no + # $ . or blank`,
    ],
  ),
]);

const route = '$edgeHub.routes.upstream';
const store = '$edgeHub.storeAndForwardConfiguration';

rows('edgeHub gets what it does not take', [
  [(_, hub) => delete hub.schemaVersion, '$edgeHub.schemaVersion is missing: write "1.2" or "1.1" or "1.0"'],
  [(_, hub) => (hub.schemaVersion = '1.9'), '$edgeHub.schemaVersion "1.9" is not valid'],
  [
    (_, hub) => delete hub.routes,
    '$edgeHub.routes is missing: write an object of routes by name, {} for none',
  ],
  [(_, hub) => (hub.routes = []), '$edgeHub.routes is not valid'],
  [(_, hub) => (hub.routes.upstream = ''), `${route} "" is not valid: write FROM source INTO sink`],
  [(_, hub) => (hub.routes.upstream = 7), `${route} 7 is not valid`],
  [(_, hub) => (hub.routes.upstream = {}), `${route}.route is missing`],
  [(_, hub) => (hub.routes.upstream = { route: 7 }), `${route}.route 7 is not valid`],
  [
    (_, hub) => (hub.routes.upstream = { route: hub.routes.upstream, priority: 10 }),
    `${route}.priority 10 is not`,
  ],
  [
    (_, hub) => (hub.routes.upstream = { route: hub.routes.upstream, priority: -1 }),
    `${route}.priority -1 is not`,
  ],
  [
    (_, hub) => (hub.routes.upstream = { route: hub.routes.upstream, priority: 1.5 }),
    `${route}.priority 1.5 is`,
  ],
  [
    (_, hub) => (hub.routes.upstream = { route: hub.routes.upstream, timeToLiveSecs: -1 }),
    `${route}.timeToLiveSecs -1`,
  ],
  [
    (_, hub) => (hub.routes.upstream = { route: hub.routes.upstream, timeToLiveSecs: 2 ** 32 }),
    `${route}.timeToLiveS`,
  ],
  [(_, hub) => (hub.routes.upstream = { route: hub.routes.upstream, ttl: 1 }), `${route}.ttl is not a field`],
  ...['a.b', 'a$b', 'a#b', 'a b'].map(
    (name): Row => [
      (_, hub) => (hub.routes[name] = hub.routes.upstream),
      `$edgeHub.routes.${name} is not a valid name: use no . $ # or blank`,
    ],
  ),
  [(_, hub) => delete hub.storeAndForwardConfiguration.timeToLiveSecs, `${store}.timeToLiveSecs is missing`],
  [
    (_, hub) => (hub.storeAndForwardConfiguration.timeToLiveSecs = '7200'),
    `${store}.timeToLiveSecs "7200" is not`,
  ],
  [
    (_, hub) => (hub.storeAndForwardConfiguration.timeToLiveSecs = 0.5),
    `${store}.timeToLiveSecs 0.5 is not valid`,
  ],
  [
    (_, hub) => (hub.storeAndForwardConfiguration.x = 1),
    `${store}.x is not a field: the fields are timeToLiveSecs`,
  ],
  [(_, hub) => (hub.colour = 'red'), '$edgeHub.colour is not a field'],
  [
    (_, hub) => (hub.mqttBroker = { x: 1 }),
    '$edgeHub.mqttBroker.x is not a field: the fields are bridges, auth',
  ],
  [(_, hub) => (hub.mqttBroker = { bridges: {} }), '$edgeHub.mqttBroker.bridges is not valid: write a list'],
  [
    (_, hub) => (hub.mqttBroker = { bridges: [{ endpoint: 'x' }] }),
    '$edgeHub.mqttBroker.bridges.0.endpoint "x" is',
  ],
  [
    (_, hub) => (hub.mqttBroker = { bridges: [{ settings: [{ direction: 'up' }] }] }),
    '$edgeHub.mqttBroker.bridges.0.settings.0.direction "up" is not valid: write in or out',
  ],
  [
    (_, hub) => (hub.mqttBroker = { authorizations: [{ allow: [{ operations: ['mqtt:delete'] }] }] }),
    '$edgeHub.mqttBroker.authorizations.0.allow.0.operations.0 "mqtt:delete" is not valid',
  ],
  [
    (_, hub) => Object.assign(hub, { schemaVersion: '1.1', mqttBroker: {} }),
    '$edgeHub.mqttBroker is not a field: the fields are schemaVersion, routes, storeAndForwardConfiguration',
  ],
  [
    (_, hub) => Object.assign(hub, { schemaVersion: '1.0', routes: { a: { route: hub.routes.upstream } } }),
    '$edgeHub.routes.a is not valid: write FROM source INTO sink',
  ],
]);

test('what the schemas allow is valid', async () => {
  const valid: ((agent: Any, hub: Any) => void)[] = [
    () => {},
    (agent) => Object.assign(agent, { schemaVersion: '1.0', colour: 'red' }),
    (agent) => Object.assign(agent.modules.terrace, { imagePullPolicy: 'never', version: undefined }),
    (agent) => (agent.modules.IoTEdgeAPIProxy.env.A = { value: 1 }),
    (agent) => (agent.modules.IoTEdgeAPIProxy.env.A = { value: true }),
    (agent) => (agent.systemModules.edgeAgent.settings.createOptions = ''),
    (_, hub) => (hub.routes = {}),
    (_, hub) =>
      (hub.routes.a = { route: 'from /* into $upstream', priority: 9, timeToLiveSecs: 4_294_967_295 }),
    (_, hub) =>
      Object.assign(hub, { schemaVersion: '1.0', routes: { 'a/b': 'FROM /* INTO $upstream' }, more: 1 }),
    (_, hub) => delete hub.storeAndForwardConfiguration,
    (_, hub) =>
      (hub.mqttBroker = {
        bridges: [
          {
            endpoint: '$upstream',
            settings: [{ direction: 'in', topic: 'a/#', inPrefix: '', outPrefix: '/x' }],
          },
        ],
        authorizations: [
          {
            identities: ['{{iot:identity}}'],
            allow: [
              { operations: ['mqtt:connect', 'mqtt:publish', 'mqtt:subscribe'], resources: ['events/#'] },
            ],
            deny: [],
          },
        ],
      }),
  ];
  for (const change of valid) {
    const manifest = await readyExample('nested');
    change(agentOf(manifest), hubOf(manifest));
    const sent = JSON.parse(JSON.stringify(manifest));
    assert.deepEqual(manifestComplaints(sent), [], String(change));
    assert.deepEqual(manifestComplaints({ content: sent, metrics: {} }), []);
  }
});

test('all complaints come at once', async () => {
  const manifest = await readyExample('nested');
  const agent = agentOf(manifest);
  delete agent.runtime.type;
  agent.modules.terrace.status = 'paused';
  agent.modules.terrace.env.ACR_REGISTRY_CONNECTION_STRING.value = 'ConectedRegistryName=a';
  manifest.modulesContent.terrace['properties.desired'].mode = 'Foo';
  hubOf(manifest).routes.upstream = 'nonsense';
  const complaints = manifestComplaints(manifest);
  for (const expected of [
    /runtime\.type is missing/,
    /status "paused"/,
    /ConectedRegistryName/,
    /terrace\.mode "Foo"/,
    /is not a route/,
  ])
    assert.match(complaints.join('\n'), expected);
  assert.equal(complaints.length, 5, complaints.join('\n'));
});
