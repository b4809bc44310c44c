/**
 * Names of the files of a set. They contain only lower-case letters, digits, `-` and `.`: every file system of a
 * removable disk accepts them.
 *
 *   terrace-<layer>-<target>-<number>-part-<number>.tar
 *   terrace-<layer>-<target>-<number>-parity-<number>.bin
 *   terrace-<layer>-<target>-<number>-index.json
 *   terrace-<layer>-<target>-<number>-list.json        the list; last into its place
 *   terrace-<layer>-<target>-<number>-list.json.sig    its signature
 */

const LIST = /^terrace-[a-z0-9-]{3,140}-\d{6}-list\.json$/;

/** Sender and target of a list. */
const PARTIES = /^terrace-([a-z0-9-]{3,140})-\d{6}-list\.json$/;

/** Ending of a file that is being written. */
export const UNFINISHED = '.unfinished';

/** Beginning of the names of all files of a set. */
export const setName = (layer: string, target: string, number: number): string =>
  `terrace-${layer}-${target}-${String(number).padStart(6, '0')}`;

export const listName = (set: string): string => `${set}-list.json`;
export const signatureName = (set: string): string => `${listName(set)}.sig`;
export const indexName = (set: string): string => `${set}-index.json`;
/** @param index from 0 */
export const partName = (set: string, index: number): string => `${set}-part-${ordinal(index)}.tar`;
/** @param index from 0 */
export const parityName = (set: string, index: number): string => `${set}-parity-${ordinal(index)}.bin`;

export const isListName = (name: string): boolean => LIST.test(name);

/** Whether a file may be the list of a set for this target and, if one is given, from this sender. */
export function isListOf(file: string, of: { sender: string | undefined; target: string }): boolean {
  const [, parties = ''] = PARTIES.exec(file) ?? [];
  if (of.sender === undefined) return parties.endsWith(`-${of.target}`);
  return parties === `${of.sender}-${of.target}`;
}

const ordinal = (index: number): string => String(index + 1).padStart(3, '0');
