import { createHash } from 'node:crypto';

/** Lines of the audit log. Pure. */

/** The beginning of a line that has an id. */
const NUMBERED = /^\{"time":"[^"]{1,40}","id":"(\d{1,15})-[0-9a-f]+"/;

/** Number of the entry in this line, or in its beginning; undefined if it has none: earlier versions wrote none. */
export function numberOf(line: string): number | undefined {
  const [, number] = NUMBERED.exec(line) ?? [];
  return number === undefined ? undefined : Number(number);
}

export type AuditLine = {
  id: string;
  /** Undefined if the line is damaged: a crash may have cut it off. */
  fields: Record<string, unknown> | undefined;
  text: string;
};

/** The id of a line without one is a part of its hash, so that it is the same each time. */
export function readLine(text: string): AuditLine {
  let fields: Record<string, unknown> | undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      fields = value as Record<string, unknown>;
    }
  } catch {
    // Damaged.
  }
  const id = typeof fields?.id === 'string' ? fields.id : hashOf(text);
  return { id, fields, text };
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);
