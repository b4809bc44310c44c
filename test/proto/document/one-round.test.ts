import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';

/** All complaints about a document come at once, whichever step of the validation finds them. */

function complaintsOf(document: object, late = false): string[] {
  const resolved = resolveDocument({ text: JSON.stringify(document), late, readable: () => true });
  return 'complaints' in resolved ? resolved.complaints : [];
}

const hash = `scrypt$14$8$1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
const parent = { url: 'https://up.example', username: 'a', passwordFile: '/p' };
const child = { name: 'line-1', mode: 'ReadWrite', repositories: '*', passwords: [hash] };

/** Not as the schema requires, in a document that depends on the field. */
const misformed: [document: object, field: string][] = [
  [{ mode: 'Foo', parent, children: [child] }, 'mode'],
  [{ schedule: 7, window: 'PT2H' }, 'schedule'],
  [{ parent: { ...parent, url: 'up.example' } }, 'parent.url'],
  [{ parent: { ...parent, passwordFile: 7 } }, 'parent.passwordFile'],
  [{ parent: { ...parent, username: 7 } }, 'parent.username'],
  [{ parent: { ...parent, colour: 'red' } }, 'parent.colour'],
  [{ parent: { ...parent, allowedHosts: ['a.example', 7] } }, 'parent.allowedHosts.1'],
  [{ parent: { url: 'https://up.example', azure: { credential: 'x' } } }, 'parent.azure.credential'],
  [{ tokens: [{ name: 'a', pull: 'BAD*', passwords: [hash] }] }, 'tokens.0.pull'],
  [
    {
      tokens: [
        { pull: '*', passwords: [hash] },
        { name: 'a', pull: '*', passwords: [hash] },
      ],
    },
    'tokens.0.name',
  ],
  [{ bandwidth: [{ from: 7, to: '12:00', limit: '1Mbit' }] }, 'bandwidth.0.from'],
  [{ garbageCollection: { grace: 7, schedule: '0 0 * * *' } }, 'garbageCollection.grace'],
  [
    { notifications: { webhooks: [{ url: 7 }, { url: 'https://a.example' }] } },
    'notifications.webhooks.0.url',
  ],
  [{ anonymousPull: [7, 'line/*'] }, 'anonymousPull.0'],
  [{ trustedProxies: [7, '10.0.0.0/8'] }, 'trustedProxies.0'],
  [{ constructor: 1 }, 'constructor'],
];

/** As the schema requires, and yet not valid. */
const meaningless: [document: object, complaint: RegExp][] = [
  [{ repositories: ['a', { name: 'b', tags: { semver: 'x.y.z.' } }] }, /^repositories\.1\.tags\.semver/m],
  [{ reserve: '5 parsecs' }, /^reserve "5 parsecs" is not valid/m],
  [{ scrub: { schedule: '99 0 * * *' } }, /^scrub\.schedule/m],
  [{ eventTtl: 'PT1S' }, /^eventTtl/m],
];

test('a field that is not as the schema requires has one complaint, and others none because of it', () => {
  for (const [document, field] of misformed) {
    const complaints = complaintsOf(document);
    assert.equal(complaints.length, 1, complaints.join('\n'));
    assert.ok(
      complaints[0]?.startsWith(field.replace(/(anonymousPull|trustedProxies)\.0/, '$1')),
      complaints[0],
    );
  }
});

test('what the schema refuses does not hide what it cannot express', () => {
  for (const [one] of misformed) {
    for (const [other, complaint] of meaningless) {
      const complaints = complaintsOf({ ...one, ...other });
      assert.equal(complaints.length, 2, complaints.join('\n'));
      assert.match(complaints.join('\n'), complaint);
    }
  }
});

test('entries of a list keep their index', () => {
  const complaints = complaintsOf({
    repositories: [7, { name: 'b', tags: { regex: '(' } }],
    tokens: [
      { name: '', pull: '*', passwords: [hash] },
      { name: 'a', passwords: [hash] },
    ],
  });
  const fields = complaints.map((complaint) => complaint.split(' ')[0]);
  assert.deepEqual(fields.sort(), [
    'repositories.0',
    'repositories.1.tags.regex',
    'tokens.0.name',
    'tokens.1',
  ]);
});

test('names that do not fit come with names that are not valid, and with tags', () => {
  const complaints = complaintsOf({
    repositories: [
      'a',
      { from: 'BAD*', as: 'b' },
      { from: 'c/*', as: 'd' },
      { name: 'e', tags: { regex: '(' } },
    ],
  });
  const fields = complaints.map((complaint) => complaint.split(' ')[0]);
  assert.deepEqual(fields, ['repositories.1.from', 'repositories.3.tags.regex', 'repositories.2.as']);
});

test('fields that take effect at the start come with the others', () => {
  const complaints = complaintsOf({ listen: '0.0.0.0:5000', gateways: 'x', mode: 'Foo', reserve: 'x' }, true);
  const fields = complaints.map((complaint) => complaint.split(' ')[0]);
  assert.deepEqual(fields, ['listen', 'gateways', 'mode', 'reserve']);
});
