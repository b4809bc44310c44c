import { clip } from '../../contract/clip.ts';
import { nearWords } from '../../contract/near-words.ts';
import { Document } from '../document.ts';
import { fieldsOf } from '../fields.ts';
import { isSecret, misplaced } from './secrets.ts';

/** Complaints about a single field. Its remedy is in the schema, except for a file that can't be read. */

/** Max fields of other mappings that a complaint proposes. */
const MAX_NEAR = 2;

const fields = fieldsOf(Document);

/** Path in the schema: `repositories.name` for `repositories.0.name`. */
const pathOf = (field: string): string => field.replace(/\.\d+(?=\.|$)/g, '');

export const remedyOf = (field: string): string | undefined => fields.get(pathOf(field))?.remedy;

/** @param why the cause, if it is known */
export const notValid = (field: string, value: unknown, why?: string): string =>
  `${field}${isSecret(field, value) ? '' : ` ${quote(value)}`} is not valid${why ? ` (${why})` : ''}: ${remedyOf(field)}`;

export const notReadable = (field: string, path: string): string =>
  `${field} ${quote(path)} can't be read: create that file, or name another one`;

/** Remedy for a field that does not exist, but that people write. */
export const misplacedRemedy = (field: string): string | undefined => misplaced[pathOf(field)];

/** Fields of the mapping that contains this one. */
export function siblingFields(field: string): string[] {
  const path = pathOf(field);
  const owner = path.slice(0, path.lastIndexOf('.') + 1);
  return [...fields.keys()].filter(
    (other) => other.startsWith(owner) && !other.slice(owner.length).includes('.'),
  );
}

/** Fields that a person probably intended: of the same mapping; of another one, if it belongs to none here. */
export function nearFields(field: string): string[] {
  const nameOf = (one: string) => one.slice(one.lastIndexOf('.') + 1);
  const name = nameOf(field);
  const owner = field.slice(0, field.length - name.length);
  const near = nearWords(name, siblingFields(field).map(nameOf)).map((one) => `${owner}${one}`);
  if (near.length > 0 || owner !== '') return near;
  return [...fields.keys()].filter((one) => nameOf(one) === name).slice(0, MAX_NEAR);
}

export const quote = (value: unknown): string => {
  return clip(JSON.stringify(value) ?? 'undefined', 81);
};
