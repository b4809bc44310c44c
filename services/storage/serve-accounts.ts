import {
  accountsStatus,
  changeToken,
  createToken,
  deleteScopeMap,
  deleteToken,
  getAccount,
  listScopeMaps,
  listTokens,
  putScopeMap,
  rotateToken,
  showScopeMap,
  showToken,
} from '#proto/accounts/accounts.ts';
import { endSession, sessionStatus } from '#proto/accounts/sessions.ts';
import { declareAccounts } from '#proto/document/declared-accounts.ts';
import type { AuditEntry } from '#proto/status/audit.ts';
import { changedScopeMap, changedToken, createdToken, rotatedToken } from './audit/audit-facts.ts';
import { emptyReply, type On } from './on.ts';
import type { Storage } from './storage.ts';

/** Answers the requests of accounts and sessions. Every change of an account is an entry of the audit log. */
export function serveAccounts(on: On, { accounts, sessions, declared, audit }: Storage): void {
  on(createToken, (q) =>
    audit.change(facts('token/create', q.name, createdToken(q)), () => accounts.create(q)),
  );
  on(rotateToken, (q) =>
    audit.change(facts('token/rotate', q.name, rotatedToken(q)), () => accounts.rotate(q)),
  );
  on(changeToken, (q) =>
    audit.change(facts('token/change', q.name, changedToken(q)), () => accounts.change(q)),
  );
  on(deleteToken, (q) =>
    audit.change(facts('token/delete', q.name), () => accounts.delete(q.name)).then(emptyReply),
  );
  on(showToken, (q) => accounts.show(q.name));
  on(listTokens, (q) => accounts.list(q));
  on(putScopeMap, (q) =>
    audit.change(facts('scope/put', q.name, changedScopeMap(q)), () => accounts.putScopeMap(q)),
  );
  on(showScopeMap, (q) => accounts.showScopeMap(q.name));
  on(deleteScopeMap, (q) =>
    audit.change(facts('scope/delete', q.name), () => accounts.deleteScopeMap(q.name)).then(emptyReply),
  );
  on(listScopeMaps, (q) => accounts.listScopeMaps(q));
  on(getAccount, (q) => accounts.account(q.name));
  on(declareAccounts, async (q) => ({ complaints: await declared.declare(q.accounts) }));
  on(accountsStatus, () => accounts.status());
  on(endSession, (q) => sessions.end(q).then(emptyReply));
  on(sessionStatus, async (q) => ({ ended: await sessions.isEnded(q.id) }));
}

const facts = (action: string, subject: string, detail: AuditEntry['detail'] = {}) => ({
  action,
  subject,
  ...(Object.keys(detail).length > 0 && { detail }),
});
