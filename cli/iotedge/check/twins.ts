import { isMapping } from '#proto/contract/plain-data.ts';
import type { Complaint } from '../schema/schema-complaints.ts';

/** The twins of a deployment manifest, complete or in pieces. */

export type Fields = Record<string, unknown>;

/** A value of desired properties; without steps, all of them. */
export type Piece = { key: string; steps: string[]; value: unknown };

export type Twin = {
  pieces: Piece[];
  /** Desired properties, put together from the pieces. */
  desired: Fields;
};

export type Twins = {
  twins: Map<string, Twin>;
  /** A layered deployment: it adds to others, so what is not in it may be in them. */
  isLayered: boolean;
  complaints: Complaint[];
};

const DESIRED = 'properties.desired';

/** @param content field `modulesContent` of a manifest */
export function readTwins(content: Fields): Twins {
  const complaints: Complaint[] = [];
  const complain = (at: string, cause: string) => complaints.push({ at, text: `${at} ${cause}` });
  const twins = new Map<string, Twin>();
  for (const [name, twin] of Object.entries(content)) {
    const pieces: Piece[] = [];
    if (!isMapping(twin)) complain(name, `is not an object: write {"${DESIRED}": {…}}`);
    for (const [key, value] of Object.entries(isMapping(twin) ? twin : {})) {
      const steps = key === DESIRED ? [] : key.slice(DESIRED.length + 1).split('.');
      if (key !== DESIRED && (!key.startsWith(`${DESIRED}.`) || steps.includes(''))) {
        complain(
          `${name}.${key}`,
          `is not a field: write ${DESIRED}, or ${DESIRED}.FIELD in a layered deployment`,
        );
      } else if (steps.length === 0 && !isMapping(value)) {
        complain(`${name}.${key}`, 'is not an object: write the desired properties');
      } else pieces.push({ key, steps, value });
    }
    if (isMapping(twin) && Object.keys(twin).length === 0)
      complain(name, `has no "${DESIRED}": write it, or leave ${name} out`);
    if (pieces.length > 1 && pieces.some(({ steps }) => steps.length === 0))
      complain(name, `has both ${DESIRED} and parts of it: write the parts into ${DESIRED}`);
    twins.set(name, { pieces, desired: mergePieces(pieces) });
  }
  const isLayered = [...twins.values()].some(({ pieces }) => pieces.some(({ steps }) => steps.length > 0));
  return { twins, isLayered, complaints };
}

function mergePieces(pieces: Piece[]): Fields {
  const merged: Fields = {};
  for (const { steps, value } of pieces) {
    const last = steps.at(-1);
    if (last === undefined) {
      if (isMapping(value)) Object.assign(merged, value);
      continue;
    }
    let owner = merged;
    for (const step of steps.slice(0, -1)) {
      const inner = Object.hasOwn(owner, step) ? owner[step] : undefined;
      const next: Fields = isMapping(inner) ? { ...inner } : {};
      setField(owner, step, next);
      owner = next;
    }
    setField(owner, last, value);
  }
  return merged;
}

/** Also for the name `__proto__`. */
const setField = (owner: Fields, name: string, value: unknown) =>
  Object.defineProperty(owner, name, { value, enumerable: true, configurable: true, writable: true });
