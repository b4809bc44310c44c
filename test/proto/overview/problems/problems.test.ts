import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '#proto/api/layer.ts';
import { check } from '#proto/contract/contract.ts';
import type { Configuration } from '#proto/document/configuration.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import { problemsOf } from '#proto/overview/problems/problems.ts';
import type { LinkStatus, SyncerStatus } from '#proto/status/status.ts';
import type { StorageStatus } from '#proto/status/storage-status.ts';

const storage: StorageStatus = {
  ...{ repositories: 1, tags: 1, blobs: 1, bytes: 1, tokens: 1, scopeMaps: 0, damaged: 0 },
  space: { free: 10, reserve: 5, low: false },
  outgoing: { unsent: 0, withdrawn: 0, parked: 0 },
  ingests: [],
};
const syncer: SyncerStatus = {
  ...{ instance: 's', host: 'h', pid: 1, coordinates: true, count: 0 },
  transfers: [],
};
const configuration = {
  mode: 'ReadWrite',
  parent: { url: 'https://cloud.example' },
} as unknown as Configuration;
const well: LayerStatus = { services: [], syncers: [syncer], configuration, storage, silent: [] };
const link = (fields: Partial<LinkStatus>): LayerStatus => ({
  ...well,
  link: { state: 'Online', since: 7, coordinator: 's', ...fields },
});
const held = (fields: Partial<StorageStatus>): LayerStatus => ({
  ...well,
  storage: { ...storage, ...fields },
});
const saving = (fields: object): LayerStatus => ({
  ...well,
  syncers: [
    syncer,
    {
      ...syncer,
      savings: { since: 1, saved: 9, crossed: 1, transfers: 1, mismatched: 0, cpuMs: 3, ...fields },
    },
  ],
});
const parked = (code: string) => ({
  ...{ repository: 'a', reference: 't', code, reason: 'it is locked', since: 3, attempts: 1, retry: 9 },
});
const restored = (lost: number) => ({
  ...{ backup: '20300101T000000Z', at: 1, restored: 2 },
  report: { known: true, complete: true, back: 0, lost, lostFirst: [], returned: 0, returnedFirst: [] },
});
const service = { service: 'gateway', instance: 'g', host: 'h', pid: 1, started: 1, memory: 1, open: true };
const webhook = { name: 'w', since: 4, behind: 2, more: false };
const below = (code: string | undefined) => ({
  ...{ path: [], name: 'cell', mode: 'ReadOnly', at: 1, child: 'cell', seen: 1 },
  link: { state: 'Offline', since: 5, coordinator: 's', ...(code && { code }) },
});

/** Each alarm of docs/operating/watching.md, and what is none. */
const table: [status: LayerStatus, codes: string[]][] = [
  [well, []],
  [held({ backup: { failures: 0, schedule: { target: '/b' } } }), []],
  [held({ restored: restored(0) }), []],
  [held({ restored: restored(2) }), ['restore-lost']],
  [held({ backup: { failures: 0, schedule: { target: '/b', lateAfter: 1, late: true } } }), ['backup-late']],
  [
    held({ backup: { failures: 3, failed: { at: 1, target: '/b', reason: 'full', count: 3 } } }),
    ['backup-failed'],
  ],
  [link({}), []],
  [link({ state: 'Syncing' }), []],
  [link({ state: 'Offline', detail: 'no route' }), ['link-offline']],
  [link({ state: 'Offline', code: 'window-closed', detail: 'the window is closed' }), []],
  [{ ...link({ state: 'Offline' }), syncers: [] }, []],
  [link({ state: 'Offline', code: 'paused', paused: { since: 1, by: 'ops' } }), ['link-paused']],
  [link({ state: 'Unhealthy', code: 'parent-refused' }), ['link-unhealthy']],
  [link({ state: 'Unhealthy', code: 'changes-parked' }), []],
  [link({ unmatched: ['line/*', 'b'] }), ['selection-unmatched', 'selection-unmatched']],
  [link({ leftOut: { images: 1, referrers: 1, children: 0, first: [] } }), ['content-left-out']],
  [
    { ...held({ outgoing: { unsent: 0, withdrawn: 0, parked: 1 } }), parked: [parked('denied')] },
    ['push-denied'],
  ],
  [
    {
      ...held({ outgoing: { unsent: 0, withdrawn: 0, parked: 3 } }),
      parked: [parked('denied'), parked('other')],
    },
    ['push-denied', 'changes-parked'],
  ],
  [
    {
      ...held({ outgoing: { unsent: 0, withdrawn: 0, parked: 1 } }),
      configuration: { ...configuration, mode: 'ReadOnly' },
    },
    [],
  ],
  [held({ outgoing: { unsent: 9, withdrawn: 0, parked: 0, kept: 2, keptIn: ['x'] } }), ['not-selected']],
  [saving({ mismatched: 0 }), []],
  [saving({ mismatched: 2 }), []],
  [saving({ mismatched: 2, mismatchedAt: 5 }), ['delta-mismatched']],
  [held({ space: { free: 1, reserve: 5, low: true } }), ['space-low']],
  [held({ damaged: 2 }), ['content-damaged']],
  [held({ metadata: ['000012.ldb'] }), ['metadata-damaged']],
  [held({ audit: { lost: 1, since: 2, reason: 'disk' } }), ['audit-lost']],
  [held({ closed: true, tokens: 0 }), ['accounts-lost']],
  [held({ accounts: ['token ci: its secret is missing'] }), ['account-not-declared']],
  [{ ...held({ tokens: 0 }), services: [service] }, ['layer-open']],
  [{ ...held({ tokens: 0 }), services: [{ ...service, open: false }] }, []],
  [{ ...well, bridge: { source: 'f', complaints: ['listen is wrong'] } }, ['configuration-refused']],
  [
    { ...well, bridge: { source: 'f', complaints: [], session: { connected: false, since: 1 } } },
    ['twin-disconnected'],
  ],
  [{ ...well, webhooks: [{ ...webhook, state: 'Online' }] }, []],
  [{ ...well, webhooks: [{ ...webhook, state: 'Failing' }] }, ['webhook-failing']],
  [{ ...well, webhooks: [{ ...webhook, state: 'Parked' }] }, ['webhook-parked']],
  [
    {
      ...well,
      history: {
        ...{ since: 1, count: 2 },
        last: { sequence: 1, id: 'i', type: 't', code: 'c', reason: 'too large', at: 1 },
      },
    },
    ['history-refused'],
  ],
  [{ ...well, below: [below('not-heard')] as LayerStatus['below'] & {} }, ['layer-not-seen']],
  [{ ...well, below: [below(undefined)] as LayerStatus['below'] & {} }, []],
  [{ ...well, silent: ['syncer'] }, ['service-silent']],
  [{ ...well, unreadable: [{ bucket: 'link', key: 'parent', reason: 'x' }] }, ['state-unreadable']],
  [
    {
      ...well,
      natsServer: { version: '2.9', advisories: [{ id: 'CVE', what: 'x' }], remedy: 'install 2.14' },
    },
    ['nats-server-vulnerable'],
  ],
];
for (const [index, [status, codes]] of table.entries()) {
  test(`row ${index} of the alarms has the problems ${codes.join(', ') || 'none'}`, () => {
    const problems = problemsOf(status);
    deepEqual(
      problems.map(({ code }) => code),
      codes,
    );
    for (const problem of problems) {
      check(Problem, problem);
      match(problem.remedy, /^[a-z].{8,}/);
    }
  });
}

test('a problem of one thing is said of one', () => {
  const whatOf = (fields: Partial<StorageStatus>) => problemsOf(held(fields)).map(({ what }) => what);
  const keeping = (kept: number) =>
    whatOf({ outgoing: { unsent: 0, withdrawn: 0, parked: 0, kept, keptIn: [] } });
  deepEqual(keeping(1), ['1 manifest stays in this layer: no selection covers its repository']);
  deepEqual(keeping(2), ['2 manifests stay in this layer: no selection covers their repositories']);
  deepEqual(whatOf({ damaged: 1 }), ['1 blob of the data volume is damaged']);
  deepEqual(whatOf({ damaged: 2 }), ['2 blobs of the data volume are damaged']);
});

const refused = (total: number, codes: string[]) =>
  problemsOf({
    ...held({ outgoing: { unsent: 0, withdrawn: 0, parked: total } }),
    parked: codes.map(parked),
  }).map(({ code, what }) => [code, what]);

test('refused changes are counted by cause, also if only the first of them are listed', () => {
  const denied = "can't go up: the login may not push: it is locked";
  deepEqual(refused(500, ['denied', 'denied']), [['push-denied', `500 changes ${denied}`]]);
  deepEqual(refused(500, ['other']), [['changes-parked', 'the parent refuses 500 changes: it is locked']]);
  deepEqual(refused(500, []), [['changes-parked', 'the parent refuses 500 changes']]);
  deepEqual(refused(2, ['denied', 'other']), [
    ['push-denied', `1 change ${denied}`],
    ['changes-parked', 'the parent refuses 1 change: it is locked'],
  ]);
  deepEqual(refused(500, ['denied', 'other']), [
    ['push-denied', `at least 1 change ${denied}`],
    ['changes-parked', 'the parent refuses at least 1 change: it is locked'],
  ]);
});

test('errors come first, and their number is bounded', () => {
  const status = {
    ...link({ unmatched: Array.from({ length: 50 }, (_, index) => `r${index}`) }),
    silent: ['storage'],
    bridge: { source: 'f', complaints: Array.from({ length: 90 }, () => 'wrong') },
  };
  const problems = problemsOf(status);
  equal(problems.length, 100);
  deepEqual(
    problems.slice(0, 91).map(({ severity }) => severity),
    Array.from({ length: 91 }, () => 'error'),
  );
});
