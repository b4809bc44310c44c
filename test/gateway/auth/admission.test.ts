import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopback } from '#proto/document/networks.ts';
import { type Admission, admissionOf } from '../../../services/gateway/auth/access-at-start.ts';

/** Whom a layer without a token admits, and when its gateway starts. */

const [LOCAL, PUBLIC] = ['127.0.0.1:5000', '0.0.0.0:5000'];
const insecure = { TERRACE_INSECURE_LISTEN: '1' };
const awaiting = { TERRACE_AWAIT_TOKEN: '1' };
const closed = { TERRACE_CLOSED: '1' };
const module = { IOTEDGE_WORKLOADURI: 'unix:///run/workload.sock' };
const container = { TERRACE_CONTAINER: '1' };
const connected = { ACR_REGISTRY_CONNECTION_STRING: 'ConnectedRegistryName=line' };

const admissions: [string, NodeJS.ProcessEnv, string, Admission][] = [
  [
    'a layer on loopback is open, also to operators',
    {},
    LOCAL,
    { open: true, openOperate: true, start: 'open' },
  ],
  ['a layer that other machines can reach needs a token', {}, PUBLIC, { open: false, start: 'need-token' }],
  ['an insecure layer on loopback is open', insecure, LOCAL, { open: true, start: 'open' }],
  [
    'an insecure layer that other machines can reach is open',
    insecure,
    PUBLIC,
    { open: true, start: 'open' },
  ],
  ['a layer on loopback waits for an awaited token', awaiting, LOCAL, { open: false, start: 'await-token' }],
  [
    'a layer that other machines can reach waits for an awaited token',
    awaiting,
    PUBLIC,
    { open: false, start: 'await-token' },
  ],
  [
    'an insecure layer does not wait for an awaited token',
    { ...insecure, ...awaiting },
    PUBLIC,
    { open: true, start: 'open' },
  ],
  ['a closed layer on loopback starts closed', closed, LOCAL, { open: false, start: 'closed' }],
  [
    'a closed layer that other machines can reach starts closed',
    closed,
    PUBLIC,
    { open: false, start: 'closed' },
  ],
  [
    'a closed layer does not wait for an awaited token',
    { ...closed, ...awaiting },
    LOCAL,
    { open: false, start: 'closed' },
  ],
  [
    'a closed, insecure layer starts at once and is open',
    { ...closed, ...insecure },
    PUBLIC,
    { open: true, start: 'closed' },
  ],
  ['a connected registry starts closed', connected, PUBLIC, { open: false, start: 'closed' }],
  ['a module on loopback is open', module, LOCAL, { open: true, openOperate: true, start: 'open' }],
  ['a module that other machines can reach starts closed', module, PUBLIC, { open: false, start: 'closed' }],
  [
    'an insecure module starts at once and is open',
    { ...module, ...insecure },
    PUBLIC,
    { open: true, start: 'closed' },
  ],
  [
    'a layer in a container waits for its first token',
    container,
    PUBLIC,
    { open: false, start: 'await-token' },
  ],
  [
    'a layer on loopback in a container is open',
    container,
    LOCAL,
    { open: true, openOperate: true, start: 'open' },
  ],
  [
    'a connected registry in a container starts closed',
    { ...connected, ...container },
    PUBLIC,
    { open: false, start: 'closed' },
  ],
  [
    'values other than 1 have no effect',
    { TERRACE_INSECURE_LISTEN: 'true', TERRACE_CLOSED: '0' },
    PUBLIC,
    { open: false, start: 'need-token' },
  ],
];

for (const [name, env, listen, admission] of admissions) {
  test(name, () => deepEqual(admissionOf(env, listen), admission));
}

test('an address without a port is refused with the expected form', () => {
  throws(() => admissionOf({}, 'localhost'), /write host:port/);
});

for (const [host, expected] of [
  ['127.0.0.1', true],
  ['127.1.2.3', true],
  ['::1', true],
  ['localhost', true],
  ['0.0.0.0', false],
  ['::', false],
  ['192.0.2.1', false],
  ['127.0.0.1.example', false],
  ['registry.example', false],
] as const) {
  test(`${host} is ${expected ? '' : 'not '}loopback`, () => equal(isLoopback(host), expected));
}
