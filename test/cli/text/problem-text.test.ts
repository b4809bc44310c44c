import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { problemsOf } from '#proto/overview/problems/problems.ts';
import { describeStatus } from '../../../cli/commands/observe/status.ts';
import { problemText } from '../../../cli/text/problem-text.ts';

const now = Date.UTC(2030, 0, 1);
const well: LayerStatus = { services: [], syncers: [], silent: [] };

test('a layer without a problem has no section', () => {
  assert.equal(problemText(well, now), '');
  assert.doesNotMatch(describeStatus(well, now), /PROBLEMS/);
});

test('each problem has its severity, its age and its remedy, and fits the width', () => {
  const reason = 'the folder /media/from-shore can not be read (ENOENT): mount the disk';
  const failure = { since: now - 7_200_000, reason };
  const exchanges = [{ peer: 'shore', isParent: true, inbox: { folder: '/media/from-shore', failure } }];
  const layer = {
    ...well,
    silent: ['gateway'],
    storage: { exchanges, space: { low: false } },
  } as unknown as LayerStatus;
  assert.equal(
    problemText(layer, now, 80),
    [
      'PROBLEMS',
      'error    gateway does not answer',
      '         Remedy: see data/log/terrace.log; it is started again by itself.',
      'warning  nothing of shore can be imported: the folder /media/from-shore can not',
      '         be read (ENOENT): mount the disk (for 2 h)',
      '         Remedy: correct what the reason names: the folder is polled, and',
      '         examined again when its files change.',
    ].join('\n'),
  );
});

test('some of many problems are listed', () => {
  const unmatched = Array.from({ length: 30 }, (_, at) => `none-${at}`);
  const link = { state: 'Online', since: now, coordinator: 's', unmatched } as const;
  const lines = problemText({ ...well, link }, now).split('\n');
  assert.equal(problemsOf({ ...well, link }).length, 30);
  assert.equal(lines.length, 1 + 2 * 20 + 1);
  assert.equal(lines.at(-1), '… and 10 more; --json has all');
});
