import { lstatSync, readdirSync } from 'node:fs';
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
  SPARE,
} from '#proto/volume/layout.ts';
import type { Subject } from '../subject/subject.ts';
import { type Finding, fault, type Verdict, warning } from '../verdict/check.ts';

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
const FOLDERS = ['.', METADATA, BLOBS, INGESTS, SPARE, QUARANTINE, BUS, RUN, LOGS];
/** Max files of the metadata that are examined. */
const MAX_FILES = 2_000;

/** `path` relative to the data folder. */
export type Entry = { path: string; uid: number; mode: number };

export async function checkPermissions({ folder }: Subject): Promise<Verdict> {
  const entries = entriesOf(folder.root);
  return permissionsVerdict(entries, process.getuid?.() ?? 0);
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

/** @param user who runs this command; 0 may do everything. Pure. */
export function permissionsVerdict(entries: readonly Entry[], user: number): Verdict {
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
  const foreign = entries.filter(({ uid }) => uid !== root.uid);
  if (foreign.length > 0) {
    const owners = [...new Set(foreign.map(({ uid }) => uid))].join(', ');
    const what = `${listed(foreign)} of the data folder ${foreign.length === 1 ? 'belongs' : 'belong'} to user ${owners}, the folder to user ${root.uid}`;
    findings.push(
      fault(what, `stop the layer, then give all of it to one user: chown -R ${root.uid} on the data folder`),
    );
  }
  if (user !== 0 && user !== root.uid) {
    const what = `the data folder belongs to user ${root.uid}, and this command runs as user ${user}`;
    findings.push(warning(what, 'run commands as the user of the layer'));
  }
  if ((root.mode & 0o002) !== 0 && (root.mode & 0o1000) === 0) {
    const what = 'all users may create and delete files in the data folder';
    findings.push(fault(what, 'run chmod o-w on the data folder'));
  }
  return { about: `owner ${root.uid}; secrets are readable by their owner only`, findings };
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
