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
} from '#proto/accounts.ts';
import { declareAccounts } from '#proto/declared-accounts.ts';
import { nothing, type On } from './serve.ts';
import type { Storage } from './storage.ts';

export function serveAccounts(on: On, { accounts, declared }: Storage): void {
  on(createToken, (q) => accounts.create(q));
  on(rotateToken, (q) => accounts.rotate(q));
  on(changeToken, (q) => accounts.change(q));
  on(deleteToken, (q) => accounts.delete(q.name).then(nothing));
  on(showToken, (q) => accounts.show(q.name));
  on(listTokens, (q) => accounts.list(q));
  on(putScopeMap, (q) => accounts.putScopeMap(q));
  on(showScopeMap, (q) => accounts.showScopeMap(q.name));
  on(deleteScopeMap, (q) => accounts.deleteScopeMap(q.name).then(nothing));
  on(listScopeMaps, (q) => accounts.listScopeMaps(q));
  on(getAccount, (q) => accounts.account(q.name));
  on(declareAccounts, async (q) => ({ complaints: await declared.declare(q.accounts) }));
  on(accountsStatus, () => accounts.status());
}
