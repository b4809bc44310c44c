import type { Command } from 'commander';
import { deleteScopeMap, putScopeMap, showScopeMap } from '#proto/accounts/accounts.ts';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { dataOption } from '../../data/data-option.ts';
import { accountName } from '../../input/account-name.ts';
import {
  describeActions,
  type PermissionOptions,
  requestedActions,
  withPermissionOptions,
} from '../../input/permission-options.ts';
import { listAllScopeMaps } from '../../layer/account-lists.ts';
import { withStorage } from '../../layer/with-storage.ts';
import { plural } from '../../terminal/figures.ts';
import { terminalWidth, wrapLines } from '../../terminal/layout.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { table } from '../../terminal/table.ts';
import { print, printJson } from '../../terminal/terminal.ts';
import { describeScopeMaps } from '../../text/token-text.ts';

type Common = { data: string; json?: boolean };
type PutOptions = Common & PermissionOptions & { description?: string };

export function addScopeCommand(program: Command): void {
  const group = program.command('scope').description('manage scope maps: permissions that tokens share');
  const command = (words: string, description: string) =>
    group.command(words).description(description).addOption(dataOption()).option('--json', 'as JSON');
  for (const [words, description, isNew] of [
    ['create <name>', 'create a scope map', true],
    ['set <name>', 'replace the permissions of a scope map', false],
  ] as const) {
    withPermissionOptions(command(words, description))
      .option('--description <text>', 'purpose of the scope map')
      .action((name: string, options: PutOptions) => put(name, options, isNew));
  }
  command('list', 'list all scope maps').action(list);
  command('show <name>', 'show a scope map').action(show);
  command('delete <name>', 'delete a scope map that no token uses').action(remove);
}

async function put(given: string, options: PutOptions, isNew: boolean): Promise<void> {
  const name = accountName(given, '--scope-map');
  const { data, json, description } = options;
  const actions = requestedActions(options);
  if (!actions) {
    throw new Refusal(
      `scope map ${name}: permissions are missing: give --action, --pull, --push, --delete or --operate`,
      2,
    );
  }
  const work = async (bus: Bus, signal: AbortSignal) => {
    const before = await bus.call(showScopeMap, { name }, { signal }).catch((error: unknown) => {
      if (Fault.is(error, 'account-unknown')) return undefined;
      throw error;
    });
    if (isNew && before) {
      throw new Refusal(`scope map ${name} already exists: change it with "terrace scope set ${name}"`);
    }
    if (!isNew && !before) {
      throw new Refusal(`scope map ${name} does not exist: create it with "terrace scope create ${name}"`);
    }
    const query = { name, actions, ...(description !== undefined && { description }) };
    return bus.call(putScopeMap, query, { signal });
  };
  const scopeMap = await withStorage(data, ({ bus, signal }) => work(bus, signal), { make: isNew });
  if (json) return printJson(JSON.stringify(scopeMap, null, 2));
  print(`Scope map ${name} allows ${plural(scopeMap.actions.length, 'action')}.`);
}

async function list({ data, json }: Common): Promise<void> {
  const scopeMaps = await withStorage(data, listAllScopeMaps);
  if (json) return printJson(JSON.stringify(scopeMaps, null, 2));
  print(describeScopeMaps(scopeMaps, terminalWidth()));
}

async function show(given: string, { data, json }: Common): Promise<void> {
  const name = accountName(given, '--scope-map');
  const scopeMap = await withStorage(data, ({ bus, signal }) => bus.call(showScopeMap, { name }, { signal }));
  if (json) return printJson(JSON.stringify(scopeMap, null, 2));
  const { actions, system, description } = scopeMap;
  const title = `${name}${system ? ' (system-defined)' : ''}${description ? `: ${description}` : ''}`;
  const width = terminalWidth();
  print([wrapLines(title, width), table([['MAY', ''], ...describeActions(actions)], width)].join('\n\n'));
}

async function remove(given: string, { data, json }: Common): Promise<void> {
  const name = accountName(given, '--scope-map');
  await withStorage(data, ({ bus, signal }) => bus.call(deleteScopeMap, { name }, { signal }));
  if (json) printJson(JSON.stringify({ name, deleted: true }));
  else print(`Scope map ${name} is deleted.`);
}
