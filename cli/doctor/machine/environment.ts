import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { COMPILE_CACHE } from '../../data/node.ts';
import { mountHere } from '../subject/mount.ts';
import { type Finding, fault, type Verdict, warning } from '../verdict/check.ts';

/** Node, the user, the container, and what of the file system outside of the data folder is used. */

export type EnvironmentSeen = {
  node: string;
  /** As package.json requires it: `>=24`. */
  required: string;
  uid: number | undefined;
  isContainer: boolean;
  /** The root of the file system is mounted read-only, as for containers. */
  isReadOnly: boolean;
  /** Folder for temporary files, and whether it is writable. */
  temporary: { path: string; isWritable: boolean };
  /** Folder of the compile cache, and whether it has, or takes, compiled code. */
  cache: { path: string; isFilled: boolean; isWritable: boolean };
};

export async function checkEnvironment(): Promise<Verdict> {
  const temporary = tmpdir();
  return environmentVerdict({
    node: process.versions.node,
    required: requiredNode(),
    uid: process.getuid?.(),
    isContainer: isContainer(),
    isReadOnly: mountHere('/')?.options.includes('ro') === true,
    temporary: { path: temporary, isWritable: isWritable(temporary) },
    cache: { path: COMPILE_CACHE, isFilled: isFilled(COMPILE_CACHE), isWritable: isWritable(COMPILE_CACHE) },
  });
}

/** As package.json has it. */
function requiredNode(): string {
  const text = readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8');
  return (JSON.parse(text) as { engines: { node: string } }).engines.node;
}

const isContainer = (): boolean =>
  existsSync('/.dockerenv') ||
  existsSync('/run/.containerenv') ||
  process.env.KUBERNETES_SERVICE_HOST !== undefined;

/** Of a folder that does not exist: whether it can be created. */
function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return isMissing && path !== dirname(path) && isWritable(dirname(path));
  }
}

/** Node keeps what it compiled in a folder for its version and the user. */
function isFilled(path: string): boolean {
  try {
    const uid = process.getuid?.();
    return readdirSync(path).some((name) => name.includes(process.version) && name.endsWith(`-${uid}`));
  } catch {
    return false;
  }
}

/** Pure. */
export function environmentVerdict({
  node,
  required,
  uid,
  isContainer,
  isReadOnly,
  temporary,
  cache,
}: EnvironmentSeen): Verdict {
  const findings: Finding[] = [];
  const min = Number(/\d+/.exec(required)?.[0]);
  if (Number.parseInt(node, 10) < min) {
    findings.push(fault(`Node ${node} is too old for Terrace`, `use Node ${min} or later`));
  }
  if (!temporary.isWritable) {
    const what = `the folder ${temporary.path} for temporary files can't be written`;
    findings.push(warning(what, 'mount a tmpfs there, or set TMPDIR to a writable folder'));
  }
  if (!cache.isFilled && !cache.isWritable) {
    const what = `the compile cache ${cache.path} has nothing for this user, and can't be written: each start takes some seconds longer`;
    findings.push(
      warning(
        what,
        'run as the user for whom the image was built, or set NODE_COMPILE_CACHE to a writable folder',
      ),
    );
  }
  const parts = [
    `Node ${node}`,
    ...(uid === undefined ? [] : [uid === 0 ? 'as root' : `as user ${uid}`]),
    ...(isContainer ? ['in a container'] : []),
    ...(isReadOnly ? ['read-only root'] : []),
  ];
  return { about: parts.join(', '), findings };
}
