import type { Command } from 'commander';
import {
  changeToken,
  createToken,
  deleteToken,
  type PasswordName,
  passwordToRotate,
  rotateToken,
  showScopeMap,
  showToken,
  type Token,
} from '#proto/accounts/accounts.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { dataOption } from '../../data/data-option.ts';
import { accountName } from '../../input/account-name.ts';
import { expiryOf } from '../../input/expiry.ts';
import {
  describeActions,
  type PermissionOptions,
  requestedActions,
  withPermissionOptions,
} from '../../input/permission-options.ts';
import { listAllTokens } from '../../layer/account-lists.ts';
import { withStorage } from '../../layer/with-storage.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { table } from '../../terminal/table.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';
import { describeTokens, loginCommand, validity } from '../../text/token-text.ts';
import { printHash } from './hash.ts';

type Common = { data: string; json?: boolean };
type Issued = { token: Token; name: PasswordName; password: string };

export function addTokenCommand(program: Command): void {
  const group = program
    .command('token')
    .description('manage the tokens of clients: names, passwords, permissions');
  const command = (words: string, description: string) =>
    group.command(words).description(description).addOption(dataOption());
  const jsonCommand = (words: string, description: string) =>
    command(words, description).option('--json', 'as JSON');

  withPermissionOptions(
    command('create <name>', 'create a token, and print its password (shown once)').option(
      '--scope-map <name>',
      'scope map with its permissions',
    ),
  )
    .option('--expires <when>', 'expiry of the password: P90D from now, or a date (default: never)')
    .option('--json', 'as JSON, including the password')
    .action(create);
  command(
    'rotate <name>',
    'replace a password, and print the new one (shown once); the other password stays valid',
  )
    .option('--password <which>', 'password1 or password2 (default: an unused one, else the older)')
    .option('--expires <when>', 'expiry of the password: P90D from now, or a date (default: never)')
    .option('--json', 'as JSON, including the password')
    .action(rotate);
  group
    .command('hash')
    .description('read a password from stdin, and print its hash for a configuration document')
    .option('--json', 'as JSON')
    .action(printHash);
  jsonCommand('list', 'list all tokens').action(list);
  jsonCommand('show <name>', 'show a token and its permissions').action(show);
  jsonCommand('set <name>', 'change the scope map of a token')
    .requiredOption('--scope-map <name>', 'scope map with its new permissions')
    .action(set);
  jsonCommand('disable <name>', 'reject logins with a token until it is enabled again').action(
    setEnabled(false),
  );
  jsonCommand('enable <name>', 'accept logins with a token again').action(setEnabled(true));
  jsonCommand('delete <name>', 'delete a token, and the scope map that was created with it').action(remove);
}

type CreateOptions = Common & PermissionOptions & { scopeMap?: string; expires?: string };

async function create(given: string, options: CreateOptions): Promise<void> {
  const name = accountName(given);
  const { data, scopeMap, expires } = options;
  const actions = requestedActions(options);
  if ((scopeMap === undefined) === (actions === undefined)) {
    throw new Refusal(
      `token ${name}: its permissions are not clear: give --pull, --push, --delete, --operate or --action, or --scope-map alone`,
      2,
    );
  }
  const query = {
    name,
    ...(scopeMap !== undefined && { scopeMap: accountName(scopeMap, '--scope-map') }),
    ...(actions !== undefined && { actions }),
    ...(expires !== undefined && { expires: expiryOf(expires, Date.now()) }),
  };
  await withStorage(
    data,
    async ({ bus, signal }) => {
      const created = await bus.call(createToken, query, { signal });
      printPassword(created, [`Token ${name} is created.`], options, await loginOf(bus, name));
    },
    { make: true },
  );
}

type RotateOptions = Common & { password?: string; expires?: string };

async function rotate(given: string, options: RotateOptions): Promise<void> {
  const name = accountName(given);
  const { data, password: wanted, expires: when } = options;
  if (wanted !== undefined && wanted !== 'password1' && wanted !== 'password2') {
    throw new Refusal(`--password "${wanted}" is not valid: write password1 or password2`, 2);
  }
  const expires = when === undefined ? {} : { expires: expiryOf(when, Date.now()) };
  await withStorage(data, async ({ bus, signal }) => {
    const before = await bus.call(showToken, { name }, { signal });
    const password = wanted ?? passwordToRotate(before, Date.now());
    const rotated = await bus.call(rotateToken, { name, password, ...expires }, { signal });
    const isReplaced = before.passwords.some((each) => each.name === password);
    const other = rotated.token.passwords.find((each) => each.name !== password);
    const lines = [
      `${password} of token ${name} is new${isReplaced ? '; the previous one no longer works' : ''}.`,
      ...(other ? [`${other.name} is unchanged: ${validity(other, Date.now())}.`] : []),
    ];
    printPassword(rotated, lines, options, await loginOf(bus, name));
  });
}

/** Only the password goes to stdout, for scripts; for a person it is the last line. */
function printPassword(issued: Issued, lines: string[], { json }: Common, login: string): void {
  if (json) {
    printJson(JSON.stringify(issued, null, 2));
    return;
  }
  const { passwords } = issued.token;
  const { expires } = passwords.find(({ name }) => name === issued.name) ?? {};
  const end = expires === undefined ? '' : `, ${validity({ expires }, Date.now())}`;
  printError(
    [...lines, `Log in with: ${login}`, `Its ${issued.name}${end}, shown only once:`, ''].join('\n'),
  );
  print(issued.password);
}

async function loginOf(bus: Bus, name: string): Promise<string> {
  const inForce = await bus.get(configuration, CONFIGURATION_KEY).catch(() => undefined);
  return loginCommand(name, inForce?.value);
}

async function list({ data, json }: Common): Promise<void> {
  const tokens = await withStorage(data, listAllTokens);
  if (json) printJson(JSON.stringify(tokens, null, 2));
  else print(describeTokens(tokens, Date.now(), terminalWidth()));
}

async function show(given: string, { data, json }: Common): Promise<void> {
  const name = accountName(given);
  const shown = await withStorage(data, async ({ bus, signal }) => {
    const token = await bus.call(showToken, { name }, { signal });
    const { actions } = await bus.call(showScopeMap, { name: token.scopeMap }, { signal });
    return { ...token, actions };
  });
  if (json) return printJson(JSON.stringify(shown, null, 2));
  const { actions } = shown;
  const width = terminalWidth();
  print(
    [
      describeTokens([shown], Date.now(), width),
      table([['MAY', ''], ...describeActions(actions)], width),
    ].join('\n\n'),
  );
}

async function set(given: string, { data, json, scopeMap }: Common & { scopeMap: string }): Promise<void> {
  const query = { name: accountName(given), scopeMap: accountName(scopeMap, '--scope-map') };
  const token = await withStorage(data, ({ bus, signal }) => bus.call(changeToken, query, { signal }));
  if (json) printJson(JSON.stringify(token, null, 2));
  else print(`Token ${query.name} has scope map ${query.scopeMap}.`);
}

function setEnabled(enabled: boolean) {
  return async (given: string, { data, json }: Common): Promise<void> => {
    const name = accountName(given);
    const query = { name, enabled };
    const token = await withStorage(data, ({ bus, signal }) => bus.call(changeToken, query, { signal }));
    if (json) printJson(JSON.stringify(token, null, 2));
    else print(`Token ${name} is ${enabled ? 'enabled' : 'disabled'}.`);
  };
}

async function remove(given: string, { data, json }: Common): Promise<void> {
  const name = accountName(given);
  await withStorage(data, ({ bus, signal }) => bus.call(deleteToken, { name }, { signal }));
  if (json) printJson(JSON.stringify({ name, deleted: true }));
  else print(`Token ${name} is deleted.`);
}
