import { parseAction } from '../../accounts/scopes.ts';
import { Fault } from '../../contract/fault.ts';
import { instantOf } from '../../contract/time-text.ts';
import { actionsOfToken, declaredAccounts, writes } from '../convert-accounts.ts';
import type { Document } from '../document.ts';
import { notValid } from './remedies.ts';
import { entriesOf } from './well-formed.ts';

/** Max size of all declared accounts as JSON, so that they fit into a message of the bus together with all else. */
const MAX_BYTES = 400_000;

/** Complaints about the declared accounts that the schema can't express. */
export function declaredComplaints(document: Document): string[] {
  const { tokens = [], children = [] } = document;
  const present = { tokens: tokens.filter(Boolean), children: children.filter(Boolean) };
  return [
    ...tokens.flatMap((token, at) => {
      const field = `tokens.${at}`;
      return [...rightsComplaints(token, field), ...passwordComplaints(token.passwords, field)];
    }),
    ...children.flatMap(({ mode, passwords }, at) => {
      const field = `children.${at}`;
      return [
        ...(writes(mode) && !takesWrites(document)
          ? [
              `${field}.mode ${mode} is not possible in a ReadOnly layer: write ReadOnly, or set mode: ReadWrite for the layer`,
            ]
          : []),
        ...passwordComplaints(passwords, field),
      ];
    }),
    ...duplicates([
      ...entriesOf(tokens).map(([at, { name }]) => [`tokens.${at}`, name] as const),
      ...entriesOf(children).map(([at, { name }]) => [`children.${at}`, name] as const),
    ]),
    ...(JSON.stringify(declaredAccounts(present)).length > MAX_BYTES
      ? [
          `tokens and children have more than ${MAX_BYTES} bytes as JSON: share scope maps, or use fewer patterns`,
        ]
      : []),
  ];
}

const takesWrites = ({ mode }: Document) => mode === undefined || writes(mode);

type Token = NonNullable<Document['tokens']>[number];

function rightsComplaints(token: Token, field: string): string[] {
  const actions = actionsOfToken(token);
  if ((token.scopeMap === undefined) === (actions.length === 0)) {
    return [
      `${field} needs either scopeMap or its own rights: write scopeMap alone, or pull, push, delete, operate or actions`,
    ];
  }
  return (token.actions ?? []).flatMap((action, at) => {
    try {
      parseAction(action);
      return [];
    } catch (error) {
      return Fault.is(error) ? [`${field}.actions.${at}: ${error.message}`] : [];
    }
  });
}

function passwordComplaints(passwords: Token['passwords'], field: string): string[] {
  return passwords.flatMap((password, at) => {
    if (typeof password === 'string') return [];
    const path = `${field}.passwords.${at}`;
    const { hash, secretFile, expires } = password;
    const complaints: string[] = [];
    if ((hash === undefined) === (secretFile === undefined)) {
      complaints.push(`${path} needs either hash or secretFile: write one of them`);
    }
    if (expires !== undefined && instantOf(expires) === undefined) {
      complaints.push(notValid(`${path}.expires`, expires));
    }
    return complaints;
  });
}

/** A child is a token of its name, so both kinds share one set of names. */
function duplicates(named: (readonly [field: string, name: string])[]): string[] {
  const seen = new Map<string, string>();
  return named.flatMap(([field, name]) => {
    const first = seen.get(name);
    seen.set(name, first ?? field);
    return first === undefined
      ? []
      : [`${field}.name ${name} is already the name of ${first}: choose another`];
  });
}
