import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Bus } from '#proto/bus/bus.ts';
import type { LayerStatus } from '#proto/overview/layer-status.ts';
import type { StorageStatus } from '#proto/status/storage-status.ts';
import { type Parked, park } from '#proto/sync/outgoing.ts';
import { describeStatus } from '../../../../cli/commands/observe/status.ts';
import { dataFolder } from '../../../../cli/data/data-folder.ts';
import { quiet } from '../../../support/bus.ts';
import { runCommandHere } from '../../../support/command-line.ts';
import { configurationWith } from '../../../support/configuration.ts';
import { testLayer } from '../../../support/layer.ts';
import { runCommand } from '../../../support/terrace.ts';

const now = Date.UTC(2030, 0, 1);
const held: StorageStatus = {
  repositories: 1,
  tags: 2,
  blobs: 3,
  bytes: 4_000_000,
  tokens: 0,
  scopeMaps: 0,
  damaged: 0,
  outgoing: { unsent: 0, withdrawn: 0, parked: 0 },
  space: { free: 2e9, reserve: 512 * 2 ** 20, low: false },
  ingests: [],
};
const gateway = { service: 'gateway', instance: 'g', host: 'a', pid: 1, started: now, memory: 1, open: true };
const storageText = (more: Partial<StorageStatus>) =>
  describeStatus({ services: [gateway], syncers: [], silent: [], storage: { ...held, ...more } }, now);

test('the amount of content, free space and accounts is shown', () => {
  const text = storageText({});
  assert.match(text, /^Holds 1 repository, 2 tags, 3 blobs, 4\.0 MB; 0 ingests in progress$/m);
  assert.match(text, /^Free: 2\.0 GB; reserve 537 MB$/m);
  assert.match(text, /^No accounts$/m);
  assert.match(text, /^warning {2}the layer has no accounts: everyone who reaches it has full access$/m);
  assert.doesNotMatch(text, /damaged|rejected/);
  assert.match(storageText({ tokens: 2 }), /^Clients log in: 2 tokens$/m);
  const closed = { services: [{ ...gateway, open: false }], syncers: [], silent: [], storage: held };
  assert.match(
    describeStatus(closed, now),
    /^No accounts yet: all clients are rejected until a token is created/m,
  );
});

test('a lack of space and damaged content are shown', () => {
  assert.match(
    storageText({ space: { free: 5e6, reserve: 1e9, low: true } }),
    /^error {4}new content is rejected: 5\.0 MB are free, and the reserve is 1\.0 GB$/m,
  );
  assert.match(storageText({ damaged: 1 }), /^error {4}1 blob of the data volume is damaged$/m);
});

test('some of many uploads are shown with their accounts, and a lack of inodes and lost audit entries', () => {
  const upload = { purpose: 'upload' as const, touched: now, account: 'ci' };
  const text = storageText({
    ingests: Array.from({ length: 500 }, (_, n) => ({ ...upload, id: `upload-${n}` })),
    space: { free: 2e9, reserve: 1e9, inodes: { free: 12, reserve: 1_000 }, low: true },
    audit: { lost: 2, since: now - 60_000, reason: "log/audit.log can't be written (ENOSPC)" },
  });
  assert.match(text, /; 500 ingests in progress$/m);
  assert.equal(text.match(/^ {2}upload upload-\d+ of ci, touched 0 s ago$/gm)?.length, 20);
  assert.match(text, /^ {2}… and 480 more; --json has all$/m);
  assert.match(text, /^Free: 2\.0 GB; reserve 1\.0 GB; 12 inodes free, reserve 1000$/m);
  assert.match(text, /^error {4}new content is rejected: 12 inodes are free, and the reserve is 1000$/m);
  assert.match(
    text,
    /^error {4}2 audit entries could not be written: log\/audit\.log can't be written \(ENOSPC\) \(for 1 min\)$/m,
  );
});

test('the syslog receiver of the audit log has a line with its state, what waits and what is lost', () => {
  const forwarding = {
    receiver: 'siem:6514',
    tls: true,
    state: 'Connected' as const,
    since: now - 60_000,
    waiting: 0,
  };
  assert.match(storageText({ forwarding }), /^Audit to syslog siem:6514: connected for 1 min$/m);
  const away = {
    ...forwarding,
    tls: false,
    state: 'Away' as const,
    reason: 'refused',
    next: now + 5_000,
    waiting: 1,
  };
  const lost = { count: 2, since: now - 60_000, last: now - 1_000 };
  const text = storageText({ forwarding: { ...away, lost } });
  assert.match(
    text,
    /^Audit to syslog siem:6514 without TLS: AWAY for 1 min: refused; next attempt in 5 s; 1 entry waiting$/m,
  );
  assert.match(
    text,
    /^ {2}LOST to it: 2 entries, the last 1 s ago, as the audit log overran while it was away$/m,
  );
});

test('each webhook has a line with its state, last delivery, pending events and failure', () => {
  const since = now - 600_000;
  const text = describeStatus(
    {
      services: [],
      syncers: [],
      silent: [],
      webhooks: [
        { name: 'hooks', state: 'Online', since, acceptedAt: now - 5_000, behind: 0, more: false },
        {
          name: 'line',
          state: 'Failing',
          since,
          behind: 200,
          more: true,
          failure: { reason: 'answered 503', attempts: 7, next: now + 64_000 },
        },
      ],
    },
    now,
  );
  assert.match(text, /^WEBHOOK +STATE +LAST DELIVERY +WAITING/m);
  assert.match(text, /^hooks +Online +5 s ago +nothing *$/m);
  assert.match(text, /^line +Failing +never +200 events or more +answered 503; 7 attempts, next in 1 min/m);
});

test('each layer below has a line with its last report', () => {
  const report = { name: 'cell', mode: 'ReadOnly' as const, at: now - 60_000, path: ['cell-1'] };
  const link = {
    state: 'Unhealthy' as const,
    since: 0,
    lastSync: now - 120_000,
    coordinator: 's',
    detail: 'app:v1',
  };
  const below = [{ ...report, child: 'line', seen: now - 30_000, link, leftOut: 12 }];
  const text = describeStatus({ services: [], syncers: [], silent: [], storage: held, below }, now);
  assert.match(
    text,
    /^line\/cell-1 +cell +Unhealthy +1 min before +30 s ago +app:v1; 12 layers below it not reported$/m,
  );
});

test('states that cannot be read are named', () => {
  const unreadable = [{ bucket: 'layers', key: 'line', reason: '/seen: Expected integer' }];
  const text = describeStatus({ services: [], syncers: [], silent: [], storage: held, unreadable }, now);
  assert.match(text, /^warning {2}the state layers\.line can't be read: \/seen: Expected integer$/m);
});

const syncer = { instance: 's', host: 'a', pid: 1, coordinates: true, count: 0, transfers: [] };
const layerText = (more: Partial<LayerStatus>, mode: 'ReadWrite' | 'ReadOnly' = 'ReadWrite') =>
  describeStatus(
    {
      services: [],
      syncers: [syncer],
      silent: [],
      storage: held,
      configuration: configurationWith({
        mode,
        parent: { url: 'https://registry.example' },
        schedule: '0 2 * * *',
      }),
      ...more,
    },
    now,
  );
const MINUTE = 60_000;
const online = { state: 'Online', since: now, lastSync: now - MINUTE, coordinator: 's' } as const;

test('events that the parent refuses are shown', () => {
  const last = {
    sequence: 7,
    id: 'a',
    type: 'terrace.tag.moved',
    code: 'malformed',
    reason: '/x: no',
    at: now,
  };
  assert.match(
    layerText({ link: online, history: { since: now - MINUTE, count: 3, last } }),
    /^warning {2}the parent refused 3 events: \/x: no \(for 1 min\)$/m,
  );
});

test('the state of the link is shown as unknown while no syncer answers', () => {
  assert.match(layerText({ link: online }), /^Parent https:\/\/registry\.example: Online$/m);
  assert.match(
    layerText({ link: online, syncers: [] }),
    /^Parent https:\/\/registry\.example: unknown, because no syncer answers \(last: Online\)$/m,
  );
});

test('the number of passes and the time of the last one with changes are shown', () => {
  const passes = { count: 1_440, last: now, announced: now - 180 * MINUTE };
  assert.match(
    layerText({ link: { ...online, passes } }),
    /^ {2}last successful pass 1 min ago; 1440 passes, the last one with changes 3 h ago$/m,
  );
});

test('the state of the window, its end and the time of the next pass are shown', () => {
  assert.doesNotMatch(layerText({ link: online }), /window|next pass|pending/);
  assert.match(
    layerText({ link: { ...online, window: { open: true, until: now + 90 * MINUTE } } }),
    /^ {2}window open until 2030-01-01 01:30 UTC \(in 1 h 30 min\)$/m,
  );
  const until = now + 120 * MINUTE;
  assert.match(
    layerText({ link: { ...online, window: { open: false, until }, next: until } }),
    /^ {2}window closed until 2030-01-01 02:00 UTC \(in 2 h\)\n {2}next pass 2030-01-01 02:00 UTC \(in 2 h\)$/m,
  );
});

test('the selections are shown', () => {
  const configuration = configurationWith({
    parent: { url: 'https://registry.example' },
    repositories: [
      'a',
      { name: 'b/*', tags: { semver: '>=1', latest: 3 }, platforms: ['linux/arm64'], referrers: false },
      { from: 'library/nginx', as: 'plant/nginx' },
    ],
  });
  assert.match(
    layerText({ configuration }),
    /^ {2}repositories a, b\/\* \(versions >=1; the latest 3; linux\/arm64; no referrers\), plant\/nginx \(from library\/nginx\)$/m,
  );
});

test('pending changes are counted, and each change that the parent refuses is shown', () => {
  const digest = `sha256:${'ab'.repeat(32)}`;
  const change = {
    repository: 'a/b',
    reference: 'v1',
    digest,
    code: 'parent-refused',
    reason: 'the tag is locked',
    since: now - 180 * MINUTE,
    attempts: 4,
    retry: now + 8 * MINUTE,
  };
  const { digest: _, ...deletion } = change;
  const parked: Parked[] = [change, { ...deletion, reference: digest, attempts: 1, retry: now - 1 }];
  const text = layerText({ storage: { ...held, outgoing: { unsent: 2, withdrawn: 1, parked: 2 } }, parked });
  assert.match(
    text,
    /^ {2}pending: 2 manifests to push, 1 manifest to withdraw, 2 changes refused by the parent$/m,
  );
  assert.match(
    text,
    /^ {4}a\/b:v1: the tag is locked \(parent-refused\); refused 4 times, first 3 h ago; next attempt in 8 min$/m,
  );
  assert.match(
    text,
    /^ {4}a\/b@sha256:abababababab \(its deletion\): .* refused 1 time, first 3 h ago; next attempt with the next pass$/m,
  );
  assert.doesNotMatch(text, /more/);
  const many = layerText({ parked: Array.from({ length: 14 }, () => change) });
  assert.equal(many.match(/a\/b:v1: the tag is locked/g)?.length, 10);
  assert.match(many, /^ {4}… and 4 more; --json has all/m);
});

test('changes that the login may not push are one line', () => {
  const change = {
    reference: 'v1',
    code: 'denied',
    reason: 'the parent lets this layer only read',
    since: now,
    attempts: 1,
    retry: now + MINUTE,
  };
  const parked: Parked[] = ['a', 'b', 'b'].map((repository) => ({ ...change, repository }));
  const text = layerText({ parked });
  assert.match(
    text,
    /^ {4}3 changes of a, b: the parent lets this layer only read \(denied\); next attempt in 1 min$/m,
  );
  assert.equal(text.match(/only read/g)?.length, 1);
});

test('selections that match nothing at the parent are shown', () => {
  assert.match(
    layerText({ link: { ...online, unmatched: ['none/*', 'gone'] } }),
    /^warning {2}the selection none\/\* matches nothing at the parent\n.*\nwarning {2}the selection gone matches/m,
  );
});

test('manifests that no selection covers are shown as not pushed, not as pending', () => {
  const outgoing = { unsent: 0, withdrawn: 0, parked: 0, kept: 2, keptIn: ['spare'] };
  const text = layerText({ storage: { ...held, outgoing } });
  const line =
    /^warning {2}2 manifests stay in this layer: no selection covers their repositories, such as spare$/m;
  assert.match(text, line);
  assert.doesNotMatch(text, /pending/);
});

test('a layer that pushes nothing has no pending changes', () => {
  const storage = { ...held, outgoing: { unsent: 2, withdrawn: 1, parked: 0 } };
  assert.match(layerText({ storage }), /pending: 2 manifests to push, 1 manifest to withdraw$/m);
  assert.doesNotMatch(layerText({ storage }, 'ReadOnly'), /pending/);
  assert.doesNotMatch(layerText({ storage, configuration: configurationWith() }), /pending/);
});

test('each syncer has a line with its instance, whether it is the coordinator, and its transfers', () => {
  const digest = `sha256:${'ab'.repeat(32)}`;
  const first = { instance: 'syncer-a-1-0f', host: 'a', pid: 1, coordinates: true, count: 0, transfers: [] };
  const blob = { repository: 'a/b', digest, size: 30_000_000 };
  const other = {
    ...first,
    instance: 'syncer-b-2-1e',
    host: 'b',
    coordinates: false,
    count: 3,
    transfers: [
      { ...blob, direction: 'down', done: 12_000_000 },
      { ...blob, direction: 'up', waits: now + 5_000 },
      { ...blob, direction: 'down' },
    ],
  } as const;
  const text = layerText({ syncers: [first, { ...other, transfers: [...other.transfers] }] });
  assert.match(text, /^Syncers:\n {2}syncer-a-1-0f on a, coordinator: idle$/m);
  assert.match(
    text,
    /^ {2}syncer-b-2-1e on b: 3 transfers\n {4}down sha256:abababababab 12\.0 MB of 30\.0 MB \(40 %\)\n {4}up sha256:abababababab 30\.0 MB, next attempt in 5 s\n {4}down sha256:abababababab 30\.0 MB$/m,
  );
  const many = Array.from({ length: 100 }, () => ({ ...blob, direction: 'down' as const }));
  assert.match(
    layerText({ syncers: [{ ...first, count: 150, transfers: many }] }),
    / MB\n {4}… and 144 more$/m,
  );
  assert.doesNotMatch(layerText({ syncers: [] }), /Syncers/);
});

test('terrace status shows some parked changes, and --json all of them', async () => {
  const parent = 'http://127.0.0.1:9';
  await using layer = await testLayer({
    parent,
    mode: 'ReadWrite',
    window: 'PT1M',
    eventTtl: 'P7D',
    compact: 'hosted',
  });
  const folder = dataFolder(layer.data);
  const [url, password] = await Promise.all(
    [folder.busUrl, folder.password('syncer')].map(async (path) => (await readFile(path, 'utf8')).trim()),
  );
  await using bus = await Bus.connect({
    url: url as string,
    user: 'syncer',
    password: password as string,
    layer: 'test',
    instance: 'syncer-test',
    log: quiet,
  });
  const since = Date.now();
  const change = { repository: 'a/b', code: 'parent-refused', reason: 'no', since, attempts: 1 };
  for (let n = 0; n < 12; n += 1) {
    await bus.call(park, { ...change, reference: `v${n}`, retry: since + 3_600_000 });
  }
  const { text } = await runCommand('status', '--data', layer.data);
  assert.match(text, /^ {2}pending: 12 changes refused by the parent$/m);
  assert.equal(text.match(/^ {4}a\/b:v\d+ \(its deletion\): no \(parent-refused\);/gm)?.length, 10, text);
  assert.match(text, /^ {4}… and 2 more/m);
  const json = JSON.parse(
    (await runCommandHere('status', '--json', '--data', layer.data)).text,
  ) as LayerStatus;
  assert.equal(json.parked?.length, 12);
  assert.deepEqual(json.parked?.[0], { ...change, reference: 'v0', retry: since + 3_600_000 });
  assert.equal(json.configuration?.windowMs, 60_000);
  assert.match(json.natsServer?.version ?? '', /^\d+\.\d+\.\d+/);
});

test('the source of the configuration, its version and its connection are shown', () => {
  const bridgeText = (bridge: NonNullable<LayerStatus['bridge']>) =>
    describeStatus({ services: [], syncers: [], silent: [], storage: held, bridge }, now);
  const since = now - 60_000;
  const bridge = {
    source: 'the module twin',
    complaints: [],
    version: 7,
    session: { connected: true, since },
  };
  assert.match(bridgeText(bridge), /^Configured by the module twin: version 7; connected for 1 min$/m);
  const { version: _version, ...unknown } = bridge;
  assert.match(
    bridgeText({ ...unknown, session: { connected: false, since, detail: 'ECONNREFUSED' } }),
    /^Configured by the module twin: none received yet; not connected \(ECONNREFUSED\) for 1 min$/m,
  );
  assert.doesNotMatch(bridgeText({ source: 'a file', complaints: [] }), /Configured/);
});

test('accounts that differ from the declared ones are shown', () => {
  const text = storageText({ tokens: 1, accounts: ['ci is declared, and there is a token of that name'] });
  assert.match(
    text,
    /^warning {2}ci is declared, and there is a token of that name\n.*correct the configuration/m,
  );
});
