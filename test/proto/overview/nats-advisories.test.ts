import assert from 'node:assert/strict';
import { test } from 'node:test';
import { natsServer } from '#proto/overview/nats-advisories.ts';

/** Advisories about the nats-server in use. */

const idsOf = (version: string) => (natsServer(version).advisories ?? []).map(({ id }) => id);

test('a vulnerable nats-server is reported with each advisory, and with the remedy', () => {
  assert.deepEqual(idsOf('2.9.10'), ['CVE-2025-30215', 'CVE-2026-33222', 'GHSA-q59r-vq66-pxc2']);
  assert.deepEqual(idsOf('2.10.27'), ['CVE-2026-33222', 'GHSA-q59r-vq66-pxc2']);
  assert.deepEqual(idsOf('2.11.0'), [
    'CVE-2025-30215',
    'CVE-2026-33222',
    'CVE-2026-33249',
    'GHSA-q59r-vq66-pxc2',
  ]);
  assert.deepEqual(idsOf('2.12.6'), ['GHSA-q59r-vq66-pxc2']);
  assert.match(natsServer('2.9.10').remedy ?? '', /^install nats-server 2\.14\.3 or later/);
});

test('a nats-server without advisories or with an unknown version is not reported', () => {
  for (const version of ['2.12.12', '2.14.3', '2.15.1', '3.0.0', 'unknown', '']) {
    assert.deepEqual(natsServer(version), { version });
  }
});
