import assert from 'node:assert/strict';
import { test } from 'node:test';
import { folderVerdict } from '../../../cli/doctor/data/data-folder.ts';
import { diskVerdict } from '../../../cli/doctor/data/disk.ts';
import { fileSystemVerdict } from '../../../cli/doctor/data/file-system.ts';
import { type InstanceSeen, instanceVerdict, lockHolderIn } from '../../../cli/doctor/data/instance.ts';
import { permissionsVerdict } from '../../../cli/doctor/data/permissions.ts';
import { natsVerdict } from '../../../cli/doctor/layer/nats-server.ts';
import { clockVerdict } from '../../../cli/doctor/machine/clock.ts';
import { environmentVerdict } from '../../../cli/doctor/machine/environment.ts';
import { memoryIn, memoryVerdict } from '../../../cli/doctor/machine/memory.ts';
import { limitIn, openFilesVerdict } from '../../../cli/doctor/machine/open-files.ts';
import { mountOf, natureOf } from '../../../cli/doctor/subject/mount.ts';
import { variablesIn } from '../../../cli/doctor/subject/service-process.ts';
import { certificateDates } from '../../../cli/doctor/verdict/certificate-dates.ts';
import type { Verdict } from '../../../cli/doctor/verdict/check.ts';

/** Judgements on the machine and the data folder, by what their probes saw. */

const NOW = Date.parse('2027-03-01T12:00:00Z');
const DAY = 86_400_000;

/** `fault: what` of each finding; or `ok`, or `not checked: reason`. */
const problemsIn = (verdict: Verdict): string[] =>
  'unchecked' in verdict
    ? [`not checked: ${verdict.unchecked}`]
    : (verdict.findings ?? []).map(({ severity, what }) => `${severity}: ${what}`);

test('the clock: a second is fine, minutes are a warning, more is a fault, and a cached answer says nothing', () => {
  const at = (offMs: number) => new Date(NOW + offMs).toUTCString();
  const of = (offMs: number, more = {}) =>
    problemsIn(clockVerdict({ now: NOW, date: at(offMs), tripMs: 200, ...more }));
  assert.deepEqual(of(0), []);
  assert.deepEqual(of(-30_000), []);
  assert.deepEqual(of(-200_000), ['warning: the clock of this machine is 3 min ahead of that of the parent']);
  assert.deepEqual(of(200_000), ['warning: the clock of this machine is 3 min behind that of the parent']);
  assert.deepEqual(of(-DAY), [
    'fault: the clock of this machine says 2027-03-01 12:00 UTC, that of the server 2027-02-28 12:00 UTC',
  ]);
  assert.deepEqual(of(-DAY, { age: '90000' }), ['not checked: the parent sends no Date']);
  assert.deepEqual(problemsIn(clockVerdict({ now: NOW }, 'no parent')), ['not checked: no parent']);
  assert.deepEqual(problemsIn(clockVerdict({ now: NOW, newest: NOW + 2 * DAY }, 'no parent')), [
    'fault: the clock of this machine was set back by 2 d: the layer wrote files that are newer than now',
  ]);
});

test('dates of a certificate: the last month is a warning, for one of a short life its last quarter', () => {
  const of = (fromDays: number, toDays: number) =>
    certificateDates('it', { from: NOW + fromDays * DAY, to: NOW + toDays * DAY }, 'renew', NOW).map(
      ({ severity, what }) => `${severity}: ${what}`,
    );
  assert.deepEqual(of(-300, 100), []);
  assert.deepEqual(of(-300, 20), ['warning: it ends in 20 d, on 2027-03-21']);
  assert.deepEqual(of(-60, 30), []);
  assert.deepEqual(of(-4, 2), []);
  assert.deepEqual(of(-5, 1), ['warning: it ends in 1 d, on 2027-03-02']);
  assert.deepEqual(of(-400, -1), ['fault: it expired on 2027-02-28']);
  assert.deepEqual(of(1, 100), [
    'fault: it is not valid before 2027-03-02, and the clock of this machine says 2027-03-01',
  ]);
});

test('the disk: the reserve, what is still to come, and inodes', () => {
  const space = { free: 2e9, reserve: 1e9, low: false };
  assert.deepEqual(problemsIn(diskVerdict(space, 0)), []);
  assert.deepEqual(problemsIn(diskVerdict(space, 3e9)), [
    'warning: 3.0 GB are still to come from the parent, and 1.0 GB are free above the reserve',
  ]);
  assert.match(
    problemsIn(diskVerdict({ ...space, free: 5e8 }, 0))[0] ?? '',
    /^fault: 500 MB are free, less than/,
  );
  assert.match(
    problemsIn(diskVerdict({ ...space, inodes: { free: 10, reserve: 1_000 } }, 0))[0] ?? '',
    /^fault: 10 more files \(inodes\)/,
  );
});

test('the mount of a folder is the longest path above it, the last of several, with blanks decoded', () => {
  const list = [
    '22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard',
    '40 22 0:35 / /data rw,noatime - nfs4 nas:/export rw,vers=4.2',
    '41 22 0:36 / /data/line\\0401 ro,relatime - xfs /dev/sdb rw',
    '42 22 0:37 / /data/line\\0401 rw,sync - btrfs /dev/sdc rw',
    '43 22 0:38 / /database rw - tmpfs tmpfs rw',
  ].join('\n');
  assert.equal(mountOf(list, '/home/x')?.type, 'ext4');
  assert.equal(mountOf(list, '/data')?.type, 'nfs4');
  assert.equal(mountOf(list, '/data/other')?.source, 'nas:/export');
  assert.deepEqual(mountOf(list, '/data/line 1/x'), {
    point: '/data/line 1',
    type: 'btrfs',
    source: '/dev/sdc',
    options: ['rw', 'sync'],
  });
  const natures = ['ext4', 'fuseblk', 'nfs4', 'cifs', 'fuse.sshfs', 'fuse.mergerfs', 'overlay', 'tmpfs'].map(
    natureOf,
  );
  assert.deepEqual(natures, [
    'disk',
    'disk',
    'network',
    'network',
    'network',
    'user space',
    'layered',
    'memory',
  ]);
});

test('the file system: what it cannot do is a fault, what it risks a warning', () => {
  const mount = (type: string, options: string[] = ['rw']) => ({
    point: '/data',
    type,
    source: 'x',
    options,
  });
  const fine = { failed: [], fsyncMs: 3, isCaseSensitive: true };
  assert.deepEqual(problemsIn(fileSystemVerdict(mount('ext4'), fine)), []);
  assert.deepEqual(problemsIn(fileSystemVerdict(undefined, fine)), []);
  assert.match(
    problemsIn(fileSystemVerdict(mount('nfs4'), fine)).join(),
    /^warning: .* network file system \(nfs4 on \/data\)/,
  );
  assert.match(
    problemsIn(fileSystemVerdict(mount('ext4', ['rw', 'sync']), fine)).join(),
    /^warning: .* option sync/,
  );
  assert.match(
    problemsIn(fileSystemVerdict(mount('vfat'), { ...fine, isCaseSensitive: false })).join(),
    /^warning: .* tell a from A$/,
  );
  assert.match(
    problemsIn(fileSystemVerdict(mount('ext4'), { ...fine, fsyncMs: 900 })).join(),
    /^warning: .* only after 0\.9 s/,
  );
  const link = { ...fine, failed: [{ probe: 'hard link' as const, code: 'EPERM' }] };
  assert.deepEqual(problemsIn(fileSystemVerdict(mount('vfat'), link)), [
    'fault: vfat on /data does not support what a layer needs: hard link (EPERM)',
  ]);
  assert.deepEqual(problemsIn(fileSystemVerdict(mount('ext4'), 'unanswered')), [
    'fault: ext4 on /data does not store a small file within 8 s',
  ]);
  const full = { failed: [{ probe: 'write' as const, code: 'ENOSPC' }] };
  assert.deepEqual(problemsIn(fileSystemVerdict(mount('ext4'), full)), [
    'fault: no file can be written (ENOSPC)',
  ]);
});

test('the data folder: one that does not answer, is no folder, or belongs to another user', () => {
  const path = '/data';
  assert.deepEqual(problemsIn(folderVerdict({ path, place: 'present' })), []);
  assert.match(
    problemsIn(folderVerdict({ path, place: 'unanswered' })).join(),
    /^fault: the file system of \/data does not answer/,
  );
  assert.match(
    problemsIn(folderVerdict({ path, place: 'present', code: 'EACCES' })).join(),
    /^fault: .* \(EACCES\)$/,
  );
  assert.match(
    problemsIn(folderVerdict({ path, place: 'present', code: 'ENOTDIR' })).join(),
    /^fault: \/data is no folder$/,
  );
  assert.deepEqual(problemsIn(folderVerdict({ path, place: 'present', code: 'EROFS' })), []);
  assert.match(
    problemsIn(folderVerdict({ path, place: 'missing', above: '/' })).join(),
    /^not checked: \/data does not exist yet/,
  );
  assert.match(
    problemsIn(folderVerdict({ path, place: 'missing', above: '/', code: 'EACCES' })).join(),
    /^fault: /,
  );
});

test('owner and mode: secrets for others, files of several users, a folder for all', () => {
  const root = { path: '.', uid: 998, mode: 0o755 };
  const bus = { path: 'bus', uid: 998, mode: 0o755 };
  const secret = { path: 'bus/storage.password', uid: 998, mode: 0o644 };
  assert.match(
    problemsIn(permissionsVerdict([root, bus, secret], 998)).join(),
    /^fault: bus\/storage\.password can be read/,
  );
  assert.deepEqual(problemsIn(permissionsVerdict([root, { ...bus, mode: 0o700 }, secret], 998)), []);
  assert.deepEqual(problemsIn(permissionsVerdict([{ ...root, mode: 0o750 }, bus, secret], 998)), []);
  const own = { path: 'metadata/000003.log', uid: 998, mode: 0o644 };
  const ofRoot = { path: 'metadata/000005.log', uid: 0, mode: 0o644 };
  const mixed = /^fault: metadata\/000005\.log belongs to user 0, and the layer runs as user 998$/;
  assert.match(problemsIn(permissionsVerdict([root, own, ofRoot], 998)).join(), mixed);
  assert.match(problemsIn(permissionsVerdict([root, own, ofRoot], undefined)).join(), mixed);
  // A container that runs as root, on a folder of the host.
  assert.deepEqual(problemsIn(permissionsVerdict([{ ...root, uid: 1_000 }, ofRoot], undefined)), []);
  assert.deepEqual(problemsIn(permissionsVerdict([root, own, ofRoot], 0)), []);
  assert.match(
    problemsIn(permissionsVerdict([{ ...root, mode: 0o777 }], 998)).join(),
    /^fault: all users may create/,
  );
});

test('one layer on a data folder: its holder, a copy, and another process that has the metadata open', () => {
  const alone: InstanceSeen = {
    ...{ path: '/data', isRunning: true, holder: 10, isCopy: false, isOriginalRunning: false },
    ...{ own: [10, 11], otherHosts: [] },
  };
  assert.deepEqual(problemsIn(instanceVerdict({ ...alone, user: 11 })), []);
  assert.deepEqual(
    problemsIn(instanceVerdict({ ...alone, isRunning: false, holder: undefined, own: [] })),
    [],
  );
  const stopped = { ...alone, isRunning: false, holder: undefined, own: [] };
  assert.match(
    problemsIn(instanceVerdict({ ...stopped, holder: 12 })).join(),
    /^fault: process 12 holds \/data/,
  );
  assert.match(
    problemsIn(instanceVerdict({ ...stopped, user: 13 })).join(),
    /^fault: process 13 uses the metadata/,
  );
  assert.match(
    problemsIn(instanceVerdict({ ...stopped, isCopy: true })).join(),
    /^warning: \/data was copied or moved/,
  );
  assert.match(
    problemsIn(instanceVerdict({ ...stopped, isCopy: true, isOriginalRunning: true })).join(),
    /^fault: \/data is a copy/,
  );
  assert.match(
    problemsIn(instanceVerdict({ ...stopped, otherHosts: ['b'] })).join(),
    /^warning: services on b use/,
  );
  const refused = "/data/bus/url can't be read (EACCES): use the account that started this Terrace";
  assert.deepEqual(problemsIn(instanceVerdict({ ...stopped, busFailure: refused })), [
    "fault: /data/bus/url can't be read (EACCES)",
  ]);
  const locks =
    '1: FLOCK  ADVISORY  WRITE 99 fe:00:5679 0 EOF\n2: POSIX  ADVISORY  WRITE 123 fe:00:5678 0 EOF\n';
  assert.equal(lockHolderIn(locks, 'fe:00:5678'), 123);
  assert.equal(lockHolderIn(locks, 'fd:00:5678'), undefined);
});

test('memory: of the machine and of both versions of control groups', () => {
  const meminfo = 'MemTotal:        4000000 kB\nMemAvailable:    3000000 kB\nSwapTotal:             0 kB\n';
  const files = (more: Record<string, string>) => (path: string) =>
    ({ '/proc/meminfo': meminfo, ...more })[path] ?? '';
  const machine = memoryIn(files({}));
  assert.deepEqual(machine, { total: 4_096_000_000, available: 3_072_000_000, swap: 0 });
  const second = memoryIn(
    files({
      '/proc/self/cgroup': '0::/system.slice/terrace.service\n',
      '/sys/fs/cgroup/system.slice/terrace.service/memory.max': '268435456\n',
      '/sys/fs/cgroup/system.slice/terrace.service/memory.current': '100000000\n',
    }),
  );
  assert.deepEqual([second.limit, second.used], [268_435_456, 100_000_000]);
  const first = memoryIn(files({ '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712' }));
  assert.equal(first.limit, undefined);
  const ofService = memoryIn(
    files({
      '/proc/77/cgroup': '9:memory:/system.slice/terrace.service\n0::/\n',
      '/sys/fs/cgroup/memory/system.slice/terrace.service/memory.limit_in_bytes': '300000000',
    }),
    77,
  );
  assert.equal(ofService.limit, 300_000_000);
  assert.deepEqual(problemsIn(memoryVerdict({ ...machine, isRunning: false })), []);
  assert.match(
    problemsIn(memoryVerdict({ ...second, isRunning: true })).join(),
    /^warning: the limit of this container or service is 268 MB/,
  );
  assert.match(
    problemsIn(memoryVerdict({ total: 1e8, available: 5e7, isRunning: false })).join(),
    /^fault: this machine has 100 MB/,
  );
  assert.match(
    problemsIn(memoryVerdict({ total: 4e9, available: 1e8, isRunning: false })).join(),
    /^warning: 100 MB of memory are free/,
  );
  assert.deepEqual(problemsIn(memoryVerdict({ total: 4e9, available: 1e8, isRunning: true })), []);
  assert.match(problemsIn(memoryVerdict({ isRunning: false })).join(), /^not checked/);
});

test('of the variables of a process, only proxies and the address are read', () => {
  const text = 'HTTPS_PROXY=http://proxy:3128/?a=b\0SECRET=x\0TERRACE_LISTEN=0.0.0.0:5000\0';
  assert.deepEqual(variablesIn(text), {
    HTTPS_PROXY: 'http://proxy:3128/?a=b',
    TERRACE_LISTEN: '0.0.0.0:5000',
  });
});

test('open files, the environment and nats-server', () => {
  assert.equal(
    limitIn('Max open files            1024                 524288               files\n'),
    524_288,
  );
  assert.equal(
    limitIn('Max open files            1024                 unlimited            files\n'),
    Infinity,
  );
  assert.deepEqual(problemsIn(openFilesVerdict(524_288, true)), []);
  assert.match(
    problemsIn(openFilesVerdict(2_048, false)).join(),
    /^warning: a process of this user may open 2048 files only$/,
  );
  assert.match(
    problemsIn(openFilesVerdict(256, true)).join(),
    /^fault: a process of the layer may open 256 files only$/,
  );

  const environment = {
    ...{ node: '24.1.0', required: '>=24', uid: 998, isContainer: true, isReadOnly: true },
    temporary: { path: '/tmp', isWritable: true },
    cache: { path: '/cache', isFilled: false, isWritable: true },
  };
  assert.deepEqual(problemsIn(environmentVerdict(environment)), []);
  assert.match(
    problemsIn(environmentVerdict({ ...environment, node: '22.9.0' })).join(),
    /^fault: Node 22\.9\.0 is too old/,
  );
  const cold = { ...environment, cache: { path: '/cache', isFilled: false, isWritable: false } };
  assert.match(
    problemsIn(environmentVerdict(cold)).join(),
    /^warning: the compile cache \/cache has nothing for this user/,
  );

  assert.deepEqual(problemsIn(natsVerdict({ version: '2.14.3', isRunning: true, storeBytes: 1e6 })), []);
  assert.match(
    problemsIn(natsVerdict({ version: '2.10.7', isRunning: true })).join(),
    /^warning: nats-server 2\.10\.7 has known vuln/,
  );
  assert.match(
    problemsIn(natsVerdict({ version: '2.8.4', isRunning: false })).join(),
    /^fault: nats-server 2\.8\.4 is too old/,
  );
  assert.match(
    problemsIn(natsVerdict({ version: '2.14.3', isRunning: true, storeBytes: 1.05e9 })).join(),
    /^warning: the store of the bus/,
  );
});
