import type { ArchiveDocument } from '../archive.ts';
import type { DocumentFiles } from '../files.ts';
import { notReadable } from './remedies.ts';

/** Complaints about the field `archive`. @param document fields that are not well-formed are absent */
export const archiveComplaints = ({ keyFiles = [] }: ArchiveDocument, files: DocumentFiles): string[] =>
  Object.entries(keyFiles).flatMap(([index, path]) =>
    files.readable(path) ? [] : [notReadable(`archive.keyFiles.${index}`, path)],
  );
