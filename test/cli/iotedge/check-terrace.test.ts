import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manifestComplaints } from '../../../cli/iotedge/iotedge-check.ts';
import { agentOf, readyExample } from './examples.ts';
import { bind, connect, type Row, rows } from './rows.ts';

/** What Terrace or a hub would refuse of a manifest, passwords that are placeholders, and layered deployments. */

rows('what Terrace would refuse', [
  [(_agent, desired) => (desired.mode = 'Foo'), /^terrace\.mode "Foo" is not valid: write/],
  [(_agent, desired) => (desired.repositories = ['BAD*X']), /^terrace\.repositories\S* .*is not valid/],
  [(_agent, desired) => (desired.listen = '0.0.0.0:8080'), /^terrace\.listen takes effect at the start/],
  [(_agent, desired) => (desired.colour = 'red'), /^terrace\.colour is not a field/],
  [
    (_agent, desired) => (desired.children = [{ name: 'a', repositories: '*', passwords: ['<HASH>'] }]),
    /^terrace\.children\.0\.passwords/,
  ],
  [
    (agent) => connect(agent, (text) => text.replace('SyncTokenName', 'SyncTokenNane')),
    /terrace\.env: ACR_REGISTRY_CONNECTION_STRING has SyncTokenNane, which is unknown/,
  ],
  [
    (agent) => connect(agent, (text) => text.replace(/ParentEndpointProtocol=.*/, '')),
    /lacks ParentEndpointProtocol/,
  ],
  [
    (agent) => connect(agent, (text) => text.replace('$IOTEDGE_PARENTHOSTNAME', '$PARENT')),
    /uses \$PARENT in ParentGatewayEndpoint/,
  ],
  [
    (agent) => connect(agent, (text) => text.replace('$IOTEDGE', 'https://$IOTEDGE')),
    /ParentGatewayEndpoint that is not valid/,
  ],
  [(agent) => connect(agent, () => 'some-password;x'), /has a part that is not Key=value/],
  [
    (agent) => (agent.modules.terrace.env.ACR_REGISTRY_DATA_VOLUMNE = { value: '/data' }),
    /env\.ACR_REGISTRY_DATA_VOLUMNE is not a variable of Terrace/,
  ],
  [
    (agent) => (agent.modules.terrace.env.TERRACE_LISTEN = { value: '8080' }),
    /terrace\.listen "8080" is not valid/,
  ],
]);

rows('passwords that are placeholders', [
  ...[
    '<SYNC_TOKEN_PASSWORD>',
    '<password>',
    `$\{PASSWORD}`,
    '$CONTAINER_REGISTRY_PASSWORD',
    '***',
    'changeme',
  ].flatMap((placeholder): Row[] => [
    [
      (agent) => (agent.runtime.settings.registryCredentials.parent.password = placeholder),
      /registryCredentials\.parent\.password is a placeholder: write the password there$/,
    ],
    [
      (agent) => connect(agent, (text) => text.replace('some-password', () => placeholder)),
      /ACR_REGISTRY_CONNECTION_STRING: SyncTokenPassword is a placeholder/,
    ],
  ]),
]);

rows('limits of a twin', [
  [
    (agent) => (agent.modules.other = { ...bind(agent), env: { A: { value: 'x'.repeat(5_000) } } }),
    /env\.A\.value has 5000 bytes: shorten it to at most 4096/,
  ],
]);

test('limits of the twin of a module that is not Terrace', async () => {
  const table: [desired: object, complaint: RegExp][] = [
    [{ 'a.b': 1 }, /^other\.a\.b has a key that a twin rejects/],
    [{ a: 'x'.repeat(5_000) }, /^other\.a has 5000 bytes: shorten it to at most 4096/],
    [{ a: [null] }, /^other\.a\[0\] is null in a list/],
    [{ a: 2 ** 53 }, /^other\.a is outside of ±2\^52/],
    [{ a: Array(9).fill('x'.repeat(4_000)) }, /^other has \d+ bytes, and a twin at most 32768/],
    [{ a: JSON.parse('['.repeat(11) + ']'.repeat(11)) }, /deeper than 10 levels/],
  ];
  for (const [desired, complaint] of table) {
    const manifest = await readyExample('nested');
    bind(agentOf(manifest));
    manifest.modulesContent.other = { 'properties.desired': desired };
    assert.match(manifestComplaints(manifest).join('\n'), complaint);
  }
});

test('no complaint contains a password', async () => {
  const manifest = await readyExample('top');
  const agent = agentOf(manifest);
  connect(agent, (text) =>
    text.replace('SyncTokenPassword', 'SyncTokenPasswort').replace('some-password', 'seCret;Value1'),
  );
  agent.runtime.settings.registryCredentials.parent.password = ['seCret'];
  agent.modules.terrace.env.OTHER = { value: ['seCret'] };
  agent.modules.terrace.settings.createOptions = '{"Env": ["PASSWORD=seCret"';
  manifest.modulesContent.terrace['properties.desired'].children[0].passwords = ['seCret'];
  const complaints = manifestComplaints(manifest);
  assert.equal(complaints.length, 5, complaints.join('\n'));
  assert.doesNotMatch(complaints.join('\n'), /seCret/);
});

test('the parts of a layered deployment are checked at their place', async () => {
  const module = { ...agentOf(await readyExample('nested')).modules.IoTEdgeAPIProxy };
  const layered = (content: object) => manifestComplaints({ content: { modulesContent: content } });
  assert.deepEqual(
    layered({
      $edgeAgent: {
        'properties.desired.modules.sensor': module,
        'properties.desired.systemModules.edgeHub.env.A': { value: '1' },
      },
      $edgeHub: { 'properties.desired.routes.sensor': 'FROM /messages/modules/filter/* INTO $upstream' },
      terrace: {
        'properties.desired.repositories': ['line/*'],
        'properties.desired.garbageCollection.grace': 'PT1H',
      },
      elsewhere: { 'properties.desired.settings': { a: 1 } },
    }),
    [],
  );
  const table: [content: object, complaint: RegExp][] = [
    [
      { $edgeAgent: { 'properties.desired.modules.sensor': { ...module, status: 'paused' } } },
      /^\$edgeAgent\.modules\.sensor\.status "paused" is not valid/,
    ],
    [
      { $edgeAgent: { 'properties.desired.modules.sensor.startupOrder': -1 } },
      /^\$edgeAgent\.modules\.sensor\.startupOrder -1 is/,
    ],
    [
      { $edgeAgent: { 'properties.desired.module.sensor': module } },
      /^\$edgeAgent\.properties\.desired\.module\.sensor has no place/,
    ],
    [{ $edgeHub: { 'properties.desired.routes.a': 'FROM nowhere' } }, /^\$edgeHub\.routes\.a is not a route/],
    [
      { $edgeHub: { 'properties.desired.routes.a': { priority: 1 } } },
      /^\$edgeHub\.routes\.a\.route is missing/,
    ],
    [{ terrace: { 'properties.desired..a': 1 } }, /^terrace\.properties\.desired\.\.a is not a field/],
    [{ terrace: { 'properties.desire.a': 1 } }, /^terrace\.properties\.desire\.a is not a field/],
    [
      { terrace: { 'properties.desired': {}, 'properties.desired.a': 1 } },
      /^terrace has both properties\.desired and parts/,
    ],
    [
      {
        $edgeAgent: {
          'properties.desired.modules.terrace': { ...module, settings: { image: 'a/terrace:1' } },
        },
        terrace: { 'properties.desired.mode': 'Foo' },
      },
      /^terrace\.mode "Foo" is not valid/,
    ],
  ];
  for (const [content, complaint] of table)
    assert.match(layered(content).join('\n'), new RegExp(complaint.source, 'm'));
});
