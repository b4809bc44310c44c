import { Fault } from '#proto/contract/fault.ts';
import { type Static, Type } from '#proto/contract/schema.ts';
import { FIRST_TIME } from '#proto/contract/time-text.ts';

/** Which events a viewer gets. */
export const filterQuery = {
  after: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Only events after this sequence.',
    }),
  ),
  since: Type.Optional(
    Type.String({
      maxLength: 40,
      description: 'Only events from this time on: milliseconds since 1970, or RFC 3339. Not with `after`.',
    }),
  ),
  type: Type.Optional(
    Type.String({
      maxLength: 1_000,
      description:
        'Types, separated by commas, such as `tag.moved,pass.finished`; `tag` is all that begin with `tag.`.',
    }),
  ),
  layer: Type.Optional(
    Type.String({
      maxLength: 1_024,
      description: 'Only events of this layer, by its name or by that of the child that reported them.',
    }),
  ),
};
const Filter = Type.Object(filterQuery);

/** Max types in a filter. */
const MAX_TYPES = 50;
const LAST_TIME = Date.parse('9999-12-31T23:59:59.999Z');
const TYPE = /^[a-z][a-z-]*(?:\.[a-z-]+)*$/;

/** Type of an event, with `terrace.`, its layer, and the child that reported it. */
export type EventAbout = { type: string; layer: string | undefined; child: string | undefined };
export type EventFilter = (about: EventAbout) => boolean;

/** @throws Fault `malformed` */
export function eventFilter({ type, layer, after, since }: Static<typeof Filter>): EventFilter {
  if (after !== undefined && since !== undefined) {
    throw new Fault('malformed', 'query parameters after and since are both given: send one of them');
  }
  const types = type?.split(',').map((one) => one.trim().replace(/^terrace\./, ''));
  const wrong = types?.find((one) => !TYPE.test(one));
  if (wrong !== undefined || (types?.length ?? 0) > MAX_TYPES) {
    throw new Fault(
      'malformed',
      `query parameter type is not valid: write at most ${MAX_TYPES} types such as tag.moved, separated by commas`,
    );
  }
  const fitsType = (name: string) =>
    types === undefined || types.some((one) => name === one || name.startsWith(`${one}.`));
  return ({ type: name, layer: own, child }) =>
    fitsType(name.replace(/^terrace\./, '')) && (layer === undefined || own === layer || child === layer);
}

/** A time in the years 0 to 9999: no other has a text of RFC 3339. @throws Fault `malformed` */
export function instantOf(text: string): number {
  const instant = /^\d{1,16}$/.test(text) ? Number(text) : Date.parse(text);
  // No event is older than 1970.
  if (instant >= FIRST_TIME && instant <= LAST_TIME) return Math.max(0, instant);
  throw new Fault(
    'malformed',
    'query parameter since is not valid: write milliseconds since 1970, or a time such as 2030-01-01T12:00:00Z',
  );
}
