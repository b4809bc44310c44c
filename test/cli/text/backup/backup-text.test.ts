import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackupStatus } from '#proto/content/backups.ts';
import type { RestoredStatus } from '#proto/content/restored.ts';
import type { StorageStatus } from '#proto/status/storage-status.ts';
import { backupStatusText } from '../../../../cli/text/backup/backup-status-text.ts';
import { checkText, listText, restoreText } from '../../../../cli/text/backup/backup-text.ts';
import { restoredText } from '../../../../cli/text/backup/restored-text.ts';

const NOW = Date.UTC(2030, 0, 2, 12);
const HOUR = 3_600_000;
const digest = `sha256:${'a'.repeat(64)}`;

const last = { id: '20300102T010000Z', target: '/mnt/b', at: NOW - 11 * HOUR, ms: 9_000 };
const sizes = { blobs: 903, bytes: 38_200_000_000, written: 120_000_000 };
const rows: [backup: BackupStatus, lines: string[]][] = [
  [
    { failures: 0, last: { ...last, ...sizes }, schedule: { target: '/mnt/b', next: NOW + 13 * HOUR } },
    ['Backup of 01:00 UTC, 11 h ago: 903 blobs, 38.2 GB, 120 MB written, to /mnt/b; next 01:00 UTC'],
  ],
  [
    {
      failures: 2,
      last: { ...last, ...sizes, missing: 1 },
      failed: { at: NOW - HOUR, target: '/mnt/b', reason: 'it is full', count: 2 },
      schedule: { target: '/mnt/b', late: true },
    },
    ['Backup of 01:00 UTC, 11 h ago: 903 blobs, 38.2 GB, 120 MB written, to /mnt/b; LACKS 1 damaged blob'],
  ],
  [
    {
      failures: 0,
      running: { since: NOW - 5_000, target: '/mnt/b', blobs: 1, bytes: 2, ofBlobs: 3, ofBytes: 4_000 },
      schedule: { target: '/mnt/b' },
    },
    ['Backup: none yet, to /mnt/b', '  running for 5 s: copied 1 of 3 blobs, 2 B of 4.0 kB'],
  ],
];
for (const [backup, lines] of rows) {
  test(`status of backups: ${lines.at(-1)}`, () => {
    assert.deepEqual(backupStatusText({ backup } as StorageStatus, NOW), lines);
  });
}

const restored: RestoredStatus = { backup: last.id, at: last.at, restored: NOW - HOUR };
const report = {
  known: true,
  complete: true,
  back: 12,
  lost: 0,
  lostFirst: [],
  returned: 0,
  returnedFirst: [],
};
test('a restored layer names what is lost, and says where no names are known', () => {
  const text = (more: Partial<RestoredStatus>) =>
    restoredText({ restored: { ...restored, ...more } } as StorageStatus, NOW).join('\n');
  const head = 'Restored 1 h ago from the backup of 01:00 UTC';
  assert.equal(text({}), `${head}; the first complete pass shows which later changes come back`);
  assert.equal(
    text({ report }),
    `${head}: of the changes that the parent knows, 12 tags came back, none is LOST`,
  );
  assert.equal(
    text({
      report: {
        ...report,
        complete: false,
        lost: 1,
        lostFirst: ['a:v1@d'],
        returned: 11,
        returnedFirst: ['b:1'],
      },
    }),
    [
      `${head}: of the changes that the parent knows, 12 tags came back, 1 is LOST; the parent does not know all of that time`,
      '  lost: a:v1@d',
      '  deleted after it, and here again: b:1',
      '  and 10 more; --json has 1',
    ].join('\n'),
  );
  assert.match(text({ report: { ...report, known: false } }), /are LOST; none is known by name$/);
});

test('backups are listed, and damage is named', () => {
  const one = {
    id: last.id,
    at: last.at,
    terrace: '1.0.0',
    layer: 'line',
    records: 9,
    blobs: 3,
    bytes: 4_000,
  };
  assert.equal(
    listText({ kind: 'listed', backups: [{ ...one, missing: 0 }], unreadable: ['the list x is damaged'] }),
    [
      'BACKUP            OF                    LAYER  BLOBS  SIZE    TERRACE',
      '20300102T010000Z  2030-01-02 01:00 UTC  line   3      4.0 kB  1.0.0',
      'Not readable: the list x is damaged',
    ].join('\n'),
  );
  assert.equal(listText({ kind: 'listed', backups: [], unreadable: [] }), 'No complete backups.');
  const damaged = { blobs: 2, first: [digest] };
  const checked = { ...one, kind: 'checked', damaged, readBack: 'disk', ms: 1_000 } as const;
  assert.match(checkText(checked), new RegExp(`2 blobs damaged or missing:\n  ${digest}\n  and 1 more$`));
  const answer = {
    ...one,
    kind: 'restored' as const,
    missing: damaged,
    notes: ['be careful'],
    files: ['/etc/p'],
    ms: 1_000,
  };
  const text = restoreText(answer, '/data', false);
  assert.match(text, /MISSING: 2 blobs that the backup lacks/);
  assert.match(text, /^Note: be careful\.$/m);
  assert.match(text, /named: \/etc\/p\.$/);
  assert.doesNotMatch(restoreText(answer, '/data', true), /MISSING/);
});
