import { operateActions } from '../accounts/scopes.ts';
import { described } from '../contract/contract.ts';
import { Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';

/** Logins of people: a session is a cookie that a browser keeps. */

export const Session = Type.Object(
  {
    name: Type.String({
      maxLength: 64,
      description: 'Name of the token; empty in a layer without accounts.',
    }),
    may: Type.Array(Type.Union(operateActions.map((action) => Type.Literal(action))), {
      maxItems: operateActions.length,
      description: 'What the caller may do as an operator.',
    }),
    open: Type.Boolean({
      description: 'The layer has no accounts: everyone who reaches it may do everything.',
    }),
    until: Type.Optional(
      described(Instant, 'When the session ends unless it is used. Absent if the request has no cookie.'),
    ),
  },
  { description: 'Who the caller is, and what they may do.' },
);
export type Session = Static<typeof Session>;

export const Login = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 256, description: 'Name of a token.' }),
    password: Type.String({ minLength: 1, maxLength: 1_024, description: 'One of its passwords.' }),
  },
  { additionalProperties: false, description: 'Begins a session.' },
);
export type Login = Static<typeof Login>;

/** Header that each change with a session cookie has to have; its value is `1`. Pages of other sites can't send it. */
export const REQUEST_HEADER = 'x-terrace-request';
