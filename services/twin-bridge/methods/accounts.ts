import { passwordToRotate, rotateToken, showToken, TokenName } from '#proto/accounts/accounts.ts';
import { ChildName, deactivateChild } from '#proto/accounts/children.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { BusCaller } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Type } from '#proto/contract/schema.ts';
import { instantOf } from '#proto/contract/time-text.ts';
import { durationOf } from '#proto/document/quantities.ts';
import { type DirectMethod, method } from './method.ts';

const Deactivate = Type.Object(
  { child: Type.String({ pattern: ChildName.pattern as string, description: 'the name of a layer below' }) },
  { additionalProperties: false },
);

/** Deactivates a layer below, so that another instance of it can be activated. Faults: `account-unknown`. */
export function deactivateMethod(bus: BusCaller, log: Log): DirectMethod {
  return method(Deactivate, log, async ({ child }, signal) => {
    const { previous } = await bus.call(deactivateChild, { name: child }, { signal });
    // A layer that was never activated has at least a token; an unknown name is a mistake.
    if (!previous) await bus.call(showToken, { name: child }, { signal });
    const before = previous && { instance: previous.instance, since: new Date(previous.since).toISOString() };
    return {
      status: 200,
      payload: { child, active: previous !== undefined, ...(before && { was: before }) },
    };
  });
}

const Rotate = Type.Object(
  {
    token: Type.String({ pattern: TokenName.pattern as string, description: 'the name of a token' }),
    password: Type.Optional(
      Type.Union([Type.Literal('password1'), Type.Literal('password2')], {
        description: 'password1 or password2',
      }),
    ),
    expires: Type.Optional(
      Type.String({ maxLength: 40, description: 'a duration such as P90D, or a date such as 2027-01-31' }),
    ),
  },
  { additionalProperties: false },
);

/**
 * Generates a new password of a token and returns it, this once. Only the document changes a token that it declares.
 * Faults: `account-unknown`, `denied`.
 */
export function rotateMethod(bus: BusCaller, log: Log): DirectMethod {
  return method(Rotate, log, async ({ token: name, expires: until, password: requested }, signal) => {
    const expires = until === undefined ? undefined : expiryOf(until, Date.now());
    const before = await bus.call(showToken, { name }, { signal });
    const password = requested ?? passwordToRotate(before, Date.now());
    const query = { name, password, ...(expires !== undefined && { expires }) };
    const rotated = await bus.call(rotateToken, query, { signal });
    const end = expires === undefined ? {} : { expires: new Date(expires).toISOString() };
    return { status: 200, payload: { token: name, name: rotated.name, password: rotated.password, ...end } };
  });
}

/** @throws Fault `malformed` */
function expiryOf(text: string, now: number): number {
  const duration = durationOf(text);
  const instant = duration === undefined ? instantOf(text) : now + duration;
  if (instant !== undefined && instant <= now)
    throw new Fault('malformed', 'expires is in the past: write a time in the future');
  if (instant !== undefined) return instant;
  throw new Fault('malformed', `expires is not valid: write ${Rotate.properties.expires.description}`);
}
