import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentVerdict } from '../../../cli/doctor/parent/content.ts';
import { kindVerdict } from '../../../cli/doctor/parent/kind.ts';
import { loginVerdict } from '../../../cli/doctor/parent/login.ts';
import { nameVerdict } from '../../../cli/doctor/parent/name.ts';
import { proxyFor, proxyVerdict } from '../../../cli/doctor/parent/proxy.ts';
import { registryVerdict, unansweredVerdict } from '../../../cli/doctor/parent/registry.ts';
import { rightsVerdict } from '../../../cli/doctor/parent/rights.ts';
import { routeVerdict } from '../../../cli/doctor/parent/route.ts';
import { selectionVerdict } from '../../../cli/doctor/parent/selection.ts';
import { tlsVerdict } from '../../../cli/doctor/parent/tls.ts';
import type { Verdict } from '../../../cli/doctor/verdict/check.ts';

/** Judgements on the parent, by what their probes saw. */

const NOW = Date.parse('2027-03-01T12:00:00Z');
const DAY = 86_400_000;
const url = new URL('https://registry.example');

/** `fault: what` of each finding. */
const problemsIn = (verdict: Verdict): string[] =>
  'unchecked' in verdict
    ? [`not checked: ${verdict.unchecked}`]
    : (verdict.findings ?? []).map(({ severity, what }) => `${severity}: ${what}`);
/** The remedies of all findings, as one text. */
const cures = (verdict: Verdict): string =>
  'unchecked' in verdict ? '' : (verdict.findings ?? []).map(({ remedy }) => remedy).join('\n');

test('the proxy of the environment: chosen, left out by NO_PROXY, not an address, refusing', () => {
  assert.deepEqual(proxyFor(url, {}), {});
  assert.equal(proxyFor(url, { HTTPS_PROXY: 'http://proxy:3128' }).proxy?.host, 'proxy:3128');
  assert.equal(proxyFor(url, { HTTP_PROXY: 'http://proxy:3128' }).proxy?.host, 'proxy:3128');
  assert.deepEqual(proxyFor(url, { HTTPS_PROXY: 'http://proxy:3128', NO_PROXY: '.example' }), {
    byPassed: true,
  });
  assert.deepEqual(proxyFor(url, { HTTPS_PROXY: 'proxy:3128' }), { invalid: 'proxy:3128' });
  const chosen = proxyFor(url, { HTTPS_PROXY: 'http://user:secret@proxy:3128' });
  assert.deepEqual(problemsIn(proxyVerdict(url, chosen, { status: 200 })), []);
  assert.deepEqual(problemsIn(proxyVerdict(url, chosen, { status: 407 })), [
    'fault: the proxy http://proxy:3128 asks for a login',
  ]);
  assert.deepEqual(problemsIn(proxyVerdict(url, chosen, { status: 403 })), [
    'fault: the proxy http://proxy:3128 refuses a tunnel to registry.example:443 (403)',
  ]);
  const plain = new URL('http://registry.example:5000');
  assert.deepEqual(problemsIn(proxyVerdict(plain, chosen, { status: 502 })), [
    'fault: the proxy http://proxy:3128 does not reach registry.example:5000 (502)',
  ]);
  assert.deepEqual(problemsIn(proxyVerdict(url, chosen, { error: 'ETIMEDOUT' })), [
    'fault: the proxy http://proxy:3128 does not answer (ETIMEDOUT)',
  ]);
});

test('the name: no address, no answer of DNS, slow', () => {
  const host = 'registry.example';
  assert.deepEqual(problemsIn(nameVerdict({ host, ms: 5, addresses: ['192.0.2.1', '2001:db8::1'] })), []);
  assert.match(cures(nameVerdict({ host, ms: 5, error: 'ENOTFOUND' })), /parent\.url/);
  assert.match(cures(nameVerdict({ host, ms: 5_000, error: 'EAI_AGAIN' })), /resolv\.conf/);
  assert.match(
    problemsIn(nameVerdict({ host, ms: 5_000, addresses: ['192.0.2.1'] })).join(),
    /^warning: it takes 5 s/,
  );
});

test('the route: refused, silent, unreachable, and one dead address of several', () => {
  const attempt = (code?: string) => ({ address: '192.0.2.1', ms: 20, ...(code && { code }) });
  assert.deepEqual(problemsIn(routeVerdict('h', 443, [attempt()])), []);
  assert.match(
    problemsIn(routeVerdict('h', 443, [attempt('ECONNREFUSED')])).join(),
    /^fault: .* refuses connections/,
  );
  assert.match(cures(routeVerdict('h', 443, [attempt('ETIMEDOUT')])), /firewall/);
  assert.match(cures(routeVerdict('h', 443, [attempt('ENETUNREACH')])), /gateway/);
  const mixed = routeVerdict('h', 443, [attempt(), { ...attempt('ETIMEDOUT'), address: '2001:db8::1' }]);
  assert.match(problemsIn(mixed).join(), /^warning: the address 2001:db8::1 of h does not answer/);
});

test('TLS: who signed, what expired in the chain, who intercepts', () => {
  const entry = (subject: string, issuer: string, toDays = 300) => ({
    ...{ subject, issuer },
    ...{ from: NOW - 300 * DAY, to: NOW + toDays * DAY },
  });
  const of = (invalid: string | undefined, ...chain: ReturnType<typeof entry>[]) =>
    tlsVerdict('h', { ...(invalid && { invalid }), protocol: 'TLSv1.3', chain }, undefined, NOW);
  assert.deepEqual(problemsIn(of(undefined, entry('h', 'CA'), entry('CA', 'CA'))), []);
  const ended = of('CERT_HAS_EXPIRED', entry('h', 'Between'), entry('Between', 'CA', -2));
  assert.deepEqual(problemsIn(ended), [
    'fault: the certificate of its authority Between expired on 2027-02-27',
  ]);
  assert.match(
    problemsIn(of('DEPTH_ZERO_SELF_SIGNED_CERT', entry('h', 'h'))).join(),
    /^fault: .* signed by itself/,
  );
  assert.match(
    cures(of('UNABLE_TO_VERIFY_LEAF_SIGNATURE', entry('h', 'CA'))),
    /send all certificates between/,
  );
  const intercepted = of(
    'SELF_SIGNED_CERT_IN_CHAIN',
    entry('h', 'FortiGate CA'),
    entry('FortiGate CA', 'FortiGate CA'),
  );
  assert.match(problemsIn(intercepted).join(), /^fault: TLS to the parent is intercepted: FortiGate CA/);
  assert.match(
    problemsIn(tlsVerdict('h', { error: 'ECONNRESET' }, undefined)).join(),
    /^fault: h ends the TLS handshake/,
  );
  assert.match(
    problemsIn(tlsVerdict('h', undefined, undefined)).join(),
    /^warning: the parent is reached without TLS/,
  );
  assert.deepEqual(problemsIn(tlsVerdict('127.0.0.1', undefined, undefined)), []);
  assert.match(
    cures(unansweredVerdict({ url }, 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED')),
    /parent\.certificateFile/,
  );
  assert.match(
    problemsIn(unansweredVerdict({ url }, 'ECONNRESET')).join(),
    /does not answer GET \/v2\/ \(ECONNRESET\)$/,
  );
});

test('the registry: answers, challenges, redirects, limits, fails, or is something else', () => {
  const of = (status: number, headers: Record<string, string> = {}, body = '', hasLogin = false) =>
    problemsIn(registryVerdict('h', { status, headers, body: Buffer.from(body) }, hasLogin)).join();
  assert.equal(of(200, { 'content-type': 'application/json' }), '');
  assert.equal(of(401, { 'www-authenticate': 'Bearer realm="https://auth.example/token"' }), '');
  assert.equal(of(404, { 'docker-distribution-api-version': 'registry/2.0' }), '');
  assert.match(
    of(302, { location: 'https://other.example/login' }),
    /redirects GET \/v2\/ to https:\/\/other\.example$/,
  );
  assert.match(of(429, { 'retry-after': '30' }), /limits requests \(429, for 30 s\)/);
  assert.match(
    of(503, {}, '{"errors":[{"code":"UNAVAILABLE","message":"storage"}]}'),
    /503: UNAVAILABLE storage$/,
  );
  assert.match(of(200, { 'content-type': 'text/html' }), /is no registry: .* a web page$/);
  assert.match(of(404), /is no registry: .* 404$/);
  assert.match(
    of(403, {}, '{"errors":[{"code":"DENIED"}]}'),
    /^fault: the parent refuses this machine \(403: DENIED\)$/,
  );
  assert.equal(of(403, {}, '', true), '');
});

test('the login: none, missing, rejected, held back, without a token', () => {
  const asked = { how: 'Bearer', realm: 'https://auth.example', reason: '' } as const;
  const of = (seen: Parameters<typeof loginVerdict>[0], username?: string) =>
    problemsIn(loginVerdict(seen, { url, username })).join();
  assert.equal(of({ how: 'none' }), '');
  assert.match(of({ how: 'missing' }), /^fault: the parent demands a login/);
  assert.equal(of({ ...asked, status: 200, isToken: true }, 'plant'), '');
  assert.match(of({ ...asked, status: 401, isToken: false }, 'plant'), /rejects the login as plant \(401\)$/);
  assert.match(of({ ...asked, status: 401, isToken: false }), /grants nothing without a login/);
  assert.match(of({ ...asked, status: 429, isToken: false }, 'plant'), /after too many wrong ones/);
  assert.match(of({ ...asked, status: 200, isToken: false }, 'plant'), /issues no token \(200\)$/);
  assert.match(
    of({ how: 'Bearer', realm: 'https://auth.example', error: 'ENOTFOUND' }, 'plant'),
    /does not answer \(ENOTFOUND\)$/,
  );
});

test('rights and selection: the catalog, pulls, pushes, and a new parent without repositories', () => {
  const names = ['line/motor', 'line/sensor'];
  const catalog = { names, partial: false };
  const seen = {
    username: 'plant',
    wide: ['line/*'],
    repositories: { named: new Map(), catalog },
    isReadable: true,
    refused: [],
  };
  assert.deepEqual(problemsIn(rightsVerdict(seen)), []);
  const closed = { ...seen, repositories: { named: new Map(), catalog: { refused: 401 } } };
  assert.match(
    problemsIn(rightsVerdict(closed)).join(),
    /^fault: the login plant may not list the repositories/,
  );
  assert.match(
    problemsIn(rightsVerdict({ ...seen, refused: ['line/motor'] })).join(),
    /^fault: the login plant may not pull from line\/motor$/,
  );
  const push = { repository: 'line/motor', status: 403, reason: ': DENIED' };
  assert.match(
    problemsIn(rightsVerdict({ ...seen, push })).join(),
    /^fault: .* may not push to line\/motor \(403: DENIED\)$/,
  );
  assert.match(
    problemsIn(rightsVerdict({ ...seen, push: { ...push, status: 500 } })).join(),
    /^warning: an upload to/,
  );

  const repositories = { named: new Map(), catalog };
  assert.deepEqual(problemsIn(selectionVerdict(['line/*'], [], repositories)), []);
  assert.match(cures(selectionVerdict(['lin/*'], ['lin/*'], repositories)), /^did you mean line\/\*\?/);
  assert.match(
    cures(selectionVerdict(['other'], ['other'], repositories)),
    /^correct it in the field repositories/,
  );
  const empty = { named: new Map(), catalog: { names: [], partial: false } };
  assert.deepEqual(problemsIn(selectionVerdict(['*'], ['*'], empty)), []);
});

test('content: from the parent or from elsewhere, with and without ranges, or out of reach', () => {
  assert.deepEqual(problemsIn(contentVerdict({ status: 206 })), []);
  assert.match(problemsIn(contentVerdict({ status: 200 })).join(), /^warning: .* ranges are ignored/);
  assert.match(
    problemsIn(contentVerdict({ host: 'blobs.example', error: 'ENOTFOUND' })).join(),
    /^fault: .* can't be reached \(ENOTFOUND\)$/,
  );
  assert.match(
    cures(contentVerdict({ host: '10.1.2.3:9000', forbidden: 'private network' })),
    /add 10\.1\.2\.3 to parent\.allowedHosts/,
  );
  assert.match(
    problemsIn(contentVerdict({ host: 'b', forbidden: 'without TLS' })).join(),
    /^fault: the parent redirects blobs to b: without TLS$/,
  );
  assert.match(problemsIn(contentVerdict({ status: 404 })).join(), /^fault: a blob is answered with 404$/);
});

test('the kind of a registry is known by its host, its challenge or its headers', () => {
  const of = (
    host: string,
    parameters: Record<string, string> = {},
    headers: Record<string, string> = {},
  ) => {
    const challenge = { scheme: 'bearer' as const, parameters };
    const verdict = kindVerdict(
      { host, isAzure: host.endsWith('.azurecr.io'), isTerrace: false, headers, challenge },
      {},
    );
    return 'about' in verdict ? verdict.about.split(';')[0] : '';
  };
  assert.equal(of('plant.azurecr.io'), 'Azure Container Registry');
  assert.equal(of('h', { service: 'harbor-registry' }), 'Harbor');
  assert.equal(of('registry-1.docker.io', { service: 'registry.docker.io' }), 'Docker Hub');
  assert.equal(of('ghcr.io'), 'GitHub Packages');
  assert.equal(of('quay.io'), 'Quay');
  assert.equal(of('1.dkr.ecr.eu-central-1.amazonaws.com'), 'Elastic Container Registry');
  assert.equal(of('europe-docker.pkg.dev'), 'Artifact Registry');
  assert.equal(
    of('h', { realm: 'https://gitlab.example/jwt/auth', service: 'container_registry' }),
    'GitLab',
  );
  assert.equal(of('h', {}, { server: 'Nexus/3.70' }), 'Nexus');
  assert.equal(of('h', {}, { 'x-jfrog-version': 'Artifactory/7' }), 'Artifactory');
  assert.equal(of('h', {}, { 'docker-distribution-api-version': 'registry/2.0' }), 'distribution');
  assert.equal(of('h'), 'a registry of an unknown kind');
});
