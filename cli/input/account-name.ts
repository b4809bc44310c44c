import { ScopeMapName, TokenName } from '#proto/accounts/accounts.ts';
import { Refusal } from '../terminal/refusal.ts';

const forms = {
  name: new RegExp(TokenName.pattern ?? ''),
  '--scope-map': new RegExp(ScopeMapName.pattern ?? ''),
};

/** Checks the name of a token or, with `field`, of a scope map. @throws Refusal */
export function accountName(text: string, field: keyof typeof forms = 'name'): string {
  if (forms[field].test(text)) return text;
  throw new Refusal(
    `${field} "${text}" is not valid: use letters, digits and . _ - between them, 64 characters at most`,
    2,
  );
}
