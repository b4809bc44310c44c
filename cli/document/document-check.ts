import { dirname } from 'node:path';
import type { DocumentFiles } from '#proto/document/files.ts';
import { type Position, positionsIn } from '#proto/document/resolve/positions.ts';
import { type Overrides, resolveDocument } from '#proto/document/resolve/resolve.ts';
import { type FileModes, warningsOf } from './document-warnings.ts';

/**
 * What `terrace config` says of a configuration document. `checkDocument` makes the checks of a start and finds where
 * in the text each complaint is; document-warnings.ts finds what is valid and certainly wrong; document-schema.ts is
 * the JSON Schema for editors; shown-fields.ts shows a configuration with the source of each field. Pure.
 */

export type Finding = {
  /** Path of the field, such as `repositories.0.tags`; absent if the finding is about the document as a whole. */
  field?: string;
  /** Where it is in the text; absent if it is from an option or the environment. */
  position?: Position;
  /** Cause and remedy; begins with the field. */
  message: string;
};

export type DocumentCheck = { complaints: Finding[]; warnings: Finding[] };

export type CheckInput = {
  text: string;
  /** Absolute path; relative paths in the document are relative to its folder. */
  file: string;
  /** Fields of the environment, as at a start. */
  defaults?: Overrides;
  files: DocumentFiles;
  modeOf: FileModes;
  now: number;
};

export function checkDocument({ text, file, defaults, files, modeOf, now }: CheckInput): DocumentCheck {
  const positions = positionsIn(text);
  if (positions.errors.length > 0) {
    const complaints = positions.errors.map(({ message, position }) => ({
      position,
      message: `the document is not YAML: ${message}`,
    }));
    return { complaints, warnings: [] };
  }
  const locate = (field: string | undefined, message: string): Finding => {
    const position = field === undefined ? undefined : positions.of(field);
    return { ...(field !== undefined && { field }), ...(position && { position }), message };
  };
  const resolved = resolveDocument({ text, folder: dirname(file), defaults, ...files });
  if ('complaints' in resolved) {
    const complaints = resolved.complaints.map((message) => locate(fieldOf(message), message));
    return { complaints: sorted(complaints), warnings: [] };
  }
  const warnings = warningsOf({ ...resolved, modeOf, now });
  return {
    complaints: [],
    warnings: sorted(warnings.map(({ field, message }) => locate(field, `${field} ${message}`))),
  };
}

/** The field with which a complaint begins. */
function fieldOf(complaint: string): string | undefined {
  const [, path] = /^([A-Za-z][\w-]*(?:\.[\w-]+)*)(?=[ :])/.exec(complaint) ?? [];
  return complaint.startsWith('the document ') ? undefined : path;
}

/** In the order of the text; what has no place in it first. */
const sorted = (findings: Finding[]): Finding[] =>
  findings.toSorted(
    (a, b) =>
      (a.position?.line ?? 0) - (b.position?.line ?? 0) ||
      (a.position?.column ?? 0) - (b.position?.column ?? 0),
  );

/** `terrace.yaml:12:3: …`, as compilers write it. */
export const findingText = (file: string, { position, message }: Finding): string =>
  position ? `${file}:${position.line}:${position.column}: ${message}` : `${file}: ${message}`;
