import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';

/** Field `audit`: a syslog receiver for the audit log. */

const resolve = (text: string, files = { readable: () => true, holdsCertificate: () => true }) =>
  resolveDocument({ text, folder: '/etc/terrace', ...files });

function syslogOf(fields: string) {
  const resolved = resolve(`audit: { syslog: { ${fields} } }`);
  assert.ok('configuration' in resolved, JSON.stringify(resolved));
  return resolved.configuration.audit?.syslog;
}

function complaintsOf(text: string, files?: Parameters<typeof resolve>[1]): string[] {
  const resolved = resolve(text, files);
  return 'complaints' in resolved ? resolved.complaints : [];
}

test('a receiver needs only a host; TLS, its port and the facility of the audit are the default', () => {
  const target = { host: 'siem', port: 6514, tls: true, facility: 13, spool: 128 * 2 ** 20 };
  const rows: [fields: string, differing: object][] = [
    ['host: siem', {}],
    ['host: siem, tls: true', {}],
    ['host: "siem:7000"', { port: 7000 }],
    ['host: siem, tls: false', { tls: false, port: 601 }],
    ['host: 10.0.0.7', { host: '10.0.0.7' }],
    ['host: "[fd00::7]"', { host: 'fd00::7' }],
    ['host: "[fd00::7]:7000"', { host: 'fd00::7', port: 7000 }],
    ['host: siem, facility: 0', { facility: 0 }],
    ['host: siem, spool: 1GiB', { spool: 2 ** 30 }],
    ['host: siem, spool: 134217728', {}],
    ['host: siem, caFile: ca.pem', { caFile: '/etc/terrace/ca.pem' }],
    [
      'host: siem, certificateFile: /a/c.pem, keyFile: k.pem',
      { certificateFile: '/a/c.pem', keyFile: '/etc/terrace/k.pem' },
    ],
  ];
  for (const [fields, differing] of rows)
    assert.deepEqual(syslogOf(fields), { ...target, ...differing }, fields);
  for (const text of ['', 'audit: {}', 'audit:']) {
    const resolved = resolve(text);
    assert.ok('configuration' in resolved && !('audit' in resolved.configuration), text);
  }
});

test('each complaint names its field and the remedy', () => {
  const rows: [fields: string, complaint: string][] = [
    ['facility: 1', 'audit.syslog.host is missing: write host or host:port, such as siem.plant.example:6514'],
    [
      'host: "a b"',
      'audit.syslog.host "a b" is not valid: write host or host:port, such as siem.plant.example:6514',
    ],
    [
      'host: "[1.2.3.4]"',
      'audit.syslog.host "[1.2.3.4]" is not valid: write host or host:port, such as siem.plant.example:6514',
    ],
    ['host: "siem:70000"', 'audit.syslog.host "siem:70000" is not valid: use a port from 1 to 65535'],
    ['host: "siem:0"', 'audit.syslog.host "siem:0" is not valid: use a port from 1 to 65535'],
    ['host: siem, tls: yes please', 'audit.syslog.tls "yes please" is not valid: write true or false'],
    ['host: siem, facility: 24', 'audit.syslog.facility 24 is not valid: write a whole number from 0 to 23'],
    [
      'host: siem, spool: 64MiB',
      'audit.syslog.spool "64MiB" is not valid: write bytes from 128MiB, the size of the audit log without a receiver, to 16GiB',
    ],
    [
      'host: siem, spool: 17GiB',
      'audit.syslog.spool "17GiB" is not valid: write bytes from 128MiB, the size of the audit log without a receiver, to 16GiB',
    ],
    [
      'host: siem, tls: false, caFile: /ca',
      'audit.syslog.caFile is of no use without TLS: remove it, or remove audit.syslog.tls',
    ],
    [
      'host: siem, certificateFile: /c',
      'audit.syslog.keyFile is missing: name a PEM file with the private key of audit.syslog.certificateFile',
    ],
    [
      'host: siem, keyFile: /k',
      'audit.syslog.certificateFile is missing: name a PEM file with the client certificate of audit.syslog.keyFile',
    ],
  ];
  for (const [fields, complaint] of rows) {
    assert.deepEqual(complaintsOf(`audit: { syslog: { ${fields} } }`), [complaint], fields);
  }
  const [unknown] = complaintsOf('audit: { syslog: { host: siem, port: 514 } }');
  assert.match(unknown ?? '', /^audit\.syslog\.port is not a field: the fields are audit\.syslog\.host, /);
});

test('all faults of the field are named in one round', () => {
  const text = `
audit:
  syslog: { host: "a b", tls: 7, facility: 99, spool: 1B, certificateFile: /c, caFile: /ca }
reserve: lots`;
  const complaints = complaintsOf(text, {
    readable: (path?: string) => path !== '/ca',
    holdsCertificate: () => false,
  } as never);
  assert.deepEqual(
    complaints.map((complaint) => complaint.split(' ')[0]).sort(),
    [
      'audit.syslog.caFile',
      'audit.syslog.certificateFile',
      'audit.syslog.facility',
      'audit.syslog.host',
      'audit.syslog.keyFile',
      'audit.syslog.spool',
      'audit.syslog.tls',
      'reserve',
    ].sort(),
    complaints.join('\n'),
  );
});
