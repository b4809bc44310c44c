import type { Document } from '../document.ts';
import {
  type ExchangeDocument,
  exchangeFieldNames,
  type exchangeFields,
  MIN_PART_BYTES,
} from '../exchanges.ts';
import type { DocumentFiles } from '../files.ts';
import { bytesOf } from '../quantities.ts';
import { runsEver } from './cron.ts';
import { notReadable, notValid, quote } from './remedies.ts';
import { entriesOf } from './well-formed.ts';

/** Complaints about the exchange of archives: the fields of `parent` beside `folder`, and the field `exchanges`. */

type Parent = NonNullable<Document['parent']>;
type Options = Pick<ExchangeDocument, keyof typeof exchangeFields>;

export function exchangeComplaints(
  { parent, exchanges = [], repositories = [] }: Document,
  files: DocumentFiles,
): string[] {
  const complaints: string[] = parent?.folder === undefined ? [] : selectionComplaints(repositories);
  const names = new Set<string>();
  /** Which field has a folder; two exchanges in one folder would take each other's archives. */
  const folders = new Map<string, string>();
  const addFolder = (field: string, path: string | undefined) => {
    if (path === undefined) return;
    const other = folders.get(path);
    if (other !== undefined) complaints.push(`${field} ${quote(path)} is also ${other}: name another folder`);
    folders.set(path, field);
  };
  if (parent) {
    for (const complaint of folderParentComplaints(parent)) complaints.push(complaint);
    for (const complaint of optionComplaints('parent', parent, files)) complaints.push(complaint);
    addFolder('parent.folder', parent.folder);
    addFolder('parent.outbox', parent.outbox);
  }
  for (const [at, exchange] of entriesOf(exchanges)) {
    const field = `exchanges.${at}`;
    const { name, inbox, outbox } = exchange;
    if (names.has(name))
      complaints.push(`${field}.name ${quote(name)} is there twice: remove one of the two`);
    names.add(name);
    if (inbox === undefined && outbox === undefined) {
      complaints.push(`${field} has neither inbox nor outbox: name the folder of at least one direction`);
    }
    for (const complaint of optionComplaints(field, exchange, files)) complaints.push(complaint);
    addFolder(`${field}.inbox`, inbox);
    addFolder(`${field}.outbox`, outbox);
  }
  return complaints;
}

/** What a selection may say if there is no link: the layer above decides what its archives contain. */
const OF_EXCHANGE = new Set(['name', 'conflict']);

function selectionComplaints(repositories: NonNullable<Document['repositories']>): string[] {
  return entriesOf(repositories).flatMap(([at, selection]) =>
    typeof selection === 'string'
      ? []
      : Object.keys(selection)
          .filter((field) => !OF_EXCHANGE.has(field))
          .map(
            (field) =>
              `repositories.${at}.${field} is of no use with parent.folder, as the layer above decides what its archives contain: remove it`,
          ),
  );
}

/** Fields of `parent` that need a link. */
const OF_LINK = [
  'username',
  'passwordFile',
  'caFile',
  'certificateFile',
  'keyFile',
  'allowedHosts',
  'azure',
] as const;

function folderParentComplaints(parent: Parent): string[] {
  const { folder, url } = parent;
  if (folder === undefined) {
    return ([...exchangeFieldNames, 'name'] as const)
      .filter((name) => parent[name] !== undefined)
      .map(
        (name) => `parent.${name} is of no use without parent.folder: write that folder, or remove ${name}`,
      );
  }
  if (url !== undefined) {
    return [
      'parent.folder is of no use beside parent.url: keep the one by which this layer gets its content',
    ];
  }
  const complaints = OF_LINK.filter((name) => parent[name] !== undefined).map(
    (name) => `parent.${name} is of no use with parent.folder, as there is no login: remove it`,
  );
  if (parent.outbox !== undefined && parent.name === undefined) {
    complaints.push(
      'parent.name is missing: write the name of the layer above, for which the archives in parent.outbox are',
    );
  }
  return complaints;
}

function optionComplaints(field: string, options: Options, files: DocumentFiles): string[] {
  const { outboxSchedule, maxPartSize, signKeyFile, verifyKeyFiles = [] } = options;
  const complaints: string[] = [];
  if (outboxSchedule !== undefined && !runsEver(outboxSchedule)) {
    complaints.push(notValid(`${field}.outboxSchedule`, outboxSchedule));
  }
  if (maxPartSize !== undefined && (bytesOf(String(maxPartSize)) ?? 0) < MIN_PART_BYTES) {
    complaints.push(notValid(`${field}.maxPartSize`, maxPartSize));
  }
  if (signKeyFile !== undefined && !files.readable(signKeyFile)) {
    complaints.push(notReadable(`${field}.signKeyFile`, signKeyFile));
  }
  for (const [at, path] of entriesOf(verifyKeyFiles)) {
    if (!files.readable(path)) complaints.push(notReadable(`${field}.verifyKeyFiles.${at}`, path));
  }
  return complaints;
}
