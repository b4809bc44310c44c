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
const connected = { ACR_REGISTRY_CONNECTION_STRING: 'ConnectedRegistryName=line' };

const admissions: [string, NodeJS.ProcessEnv, string, Admission][] = [
  ['on loopback: open', {}, LOCAL, { open: true, start: 'open' }],
  ['for other machines: with a token', {}, PUBLIC, { open: false, start: 'need-token' }],
  ['on loopback, insecure: open', insecure, LOCAL, { open: true, start: 'open' }],
  ['for other machines, insecure: open', insecure, PUBLIC, { open: true, start: 'open' }],
  ['on loopback, a token awaited: waits', awaiting, LOCAL, { open: false, start: 'await-token' }],
  ['for other machines, a token awaited: waits', awaiting, PUBLIC, { open: false, start: 'await-token' }],
  ['insecure, a token awaited: open', { ...insecure, ...awaiting }, PUBLIC, { open: true, start: 'open' }],
  ['closed, on loopback: closed', closed, LOCAL, { open: false, start: 'closed' }],
  ['closed, for other machines: closed', closed, PUBLIC, { open: false, start: 'closed' }],
  ['closed, a token awaited: closed', { ...closed, ...awaiting }, LOCAL, { open: false, start: 'closed' }],
  ['closed and insecure: insecure', { ...closed, ...insecure }, PUBLIC, { open: true, start: 'closed' }],
  ['a connected registry: closed', connected, PUBLIC, { open: false, start: 'closed' }],
  ['a module, on loopback: open', module, LOCAL, { open: true, start: 'open' }],
  ['a module, for other machines: closed', module, PUBLIC, { open: false, start: 'closed' }],
  ['a module, insecure: insecure', { ...module, ...insecure }, PUBLIC, { open: true, start: 'closed' }],
  [
    'values other than 1 set nothing',
    { TERRACE_INSECURE_LISTEN: 'true', TERRACE_CLOSED: '0' },
    PUBLIC,
    { open: false, start: 'need-token' },
  ],
];

for (const [name, env, listen, admission] of admissions) {
  test(name, () => deepEqual(admissionOf(env, listen), admission));
}

test('an address without a port is refused with the form to write', () => {
  throws(() => admissionOf({}, 'localhost'), /write host:port/);
});

for (const [host, is] of [
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
  test(`${host} is ${is ? 'loopback' : 'to be reached from elsewhere'}`, () => equal(isLoopback(host), is));
}
