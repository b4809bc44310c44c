import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { userNames } from '#proto/contract/users.ts';
import {
  AUDIT_LOG,
  BLOBS,
  BUS,
  busPassword,
  INGESTS,
  LAST_TWIN,
  LOGS,
  METADATA,
  PARENT_PASSWORD,
  QUARANTINE,
  RUN,
  SCRATCH,
  SKETCHES,
  SPARE,
} from '#proto/volume/layout.ts';
import { serviceHere } from '../subject/service-process.ts';
import type { Subject } from '../subject/subject.ts';
import { type Finding, fault, type Verdict } from '../verdict/check.ts';

/** Owner and mode of what matters in the data folder. */

/** Files with passwords, or with the content of others: nobody but their owner may read them. */
const SECRETS = [
  ...userNames.map((user) => busPassword(user)),
  join(BUS, 'nats.conf'),
  PARENT_PASSWORD,
  LAST_TWIN,
  AUDIT_LOG,
];
/** Folders that the services write to. */
const FOLDERS = ['.', METADATA, BLOBS, INGESTS, SPARE, SCRATCH, SKETCHES, QUARANTINE, BUS, RUN, LOGS];
/** Max files of the metadata that are examined. */
const MAX_FILES = 2_000;

/** `path` relative to the data folder. */
export type Entry = { path: string; uid: number; mode: number };

export async function checkPermissions({ folder, status }: Subject): Promise<Verdict> {
  const entries = entriesOf(folder.root);
  return permissionsVerdict(entries, userOf(serviceHere(status, 'storage')?.pid));
}

/** Of the process; of a stopped layer, that of this command, unless it is root. */
function userOf(pid: number | undefined): number | undefined {
  const own = process.getuid?.() || undefined;
  if (pid === undefined) return own;
  try {
    return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return own;
  }
}

function entriesOf(root: string): Entry[] {
  const metadata = join(root, METADATA);
  const isThere = lstatSync(metadata, { throwIfNoEntry: false })?.isDirectory();
  const tables = isThere
    ? readdirSync(metadata)
        .slice(0, MAX_FILES)
        .map((name) => join(METADATA, name))
    : [];
  return [...new Set([...FOLDERS, ...SECRETS, ...tables])].flatMap((path) => {
    const found = lstatSync(join(root, path), { throwIfNoEntry: false });
    return found ? [{ path, uid: found.uid, mode: found.mode & 0o777 }] : [];
  });
}

/** @param user of the layer, as far as it is known: of its process, or of this command. Pure. */
export function permissionsVerdict(entries: readonly Entry[], user: number | undefined): Verdict {
  const root = entries.find(({ path }) => path === '.');
  if (!root) return { unchecked: 'the data folder can not be read' };
  const findings: Finding[] = [];
  const inSecrets = entries.filter(({ path }) => SECRETS.includes(path));
  const open = inSecrets.filter(({ mode, path }) => (mode & 0o004) !== 0 && !isHidden(path, entries));
  if (open.length > 0) {
    const what = `${listed(open)} can be read by other users: passwords of the layer are in it`;
    const remedy = `run chmod 600 on ${open.length === 1 ? 'it' : 'them'}, and rotate the passwords if others use this machine`;
    findings.push(fault(what, remedy));
  }
  const inside = entries.filter(({ path }) => path !== '.');
  const owners = [...new Set(inside.map(({ uid }) => uid))];
  // Root may do everything; as root, a layer that is stopped has no user yet, and one owner is enough.
  const expected = user ?? (owners.length > 1 ? root.uid : undefined);
  const foreign = expected ? inside.filter(({ uid }) => uid !== expected) : [];
  if (foreign.length > 0) {
    const uids = [...new Set(foreign.map(({ uid }) => uid))].join(', ');
    const what = `${listed(foreign)} ${foreign.length === 1 ? 'belongs' : 'belong'} to user ${uids}, and the layer runs as user ${expected}`;
    findings.push(
      fault(what, `stop the layer, then give all to its user: chown -R ${expected} on the data folder`),
    );
  }
  if ((root.mode & 0o002) !== 0 && (root.mode & 0o1000) === 0) {
    const what = 'all users may create and delete files in the data folder';
    findings.push(fault(what, 'run chmod o-w on the data folder'));
  }
  return {
    about: `owner ${owners.join(', ') || root.uid}; secrets are readable by their owner only`,
    findings,
  };
}

/** Whether a folder above the file keeps other users out. */
const isHidden = (path: string, entries: readonly Entry[]): boolean => {
  const folders = ['.', path.slice(0, Math.max(0, path.lastIndexOf('/')))];
  return entries.some((entry) => folders.includes(entry.path) && (entry.mode & 0o001) === 0);
};

const listed = (entries: readonly Entry[]): string => {
  const names = entries.map(({ path }) => (path === '.' ? 'the data folder' : path));
  return names.length <= 3
    ? names.join(', ')
    : `${names.slice(0, 3).join(', ')} and ${names.length - 3} others`;
};
