import type { Command } from 'commander';
import { createToken } from '#proto/accounts/accounts.ts';
import { ChildName, deactivateChild } from '#proto/accounts/children.ts';
import { actionsOfChild } from '#proto/accounts/permission-words.ts';
import type { Bus } from '#proto/bus/bus.ts';
import {
  CONFIGURATION_KEY,
  type Configuration,
  configuration,
  RepositoryPattern,
} from '#proto/document/configuration.ts';
import type { Mode } from '#proto/oci/mode.ts';
import { storageStatus } from '#proto/status/storage-status.ts';
import { dataOption } from '../../data/data-option.ts';
import { listAllActivated, listAllScopeMaps, listAllTokens } from '../../layer/account-lists.ts';
import { withStorage } from '../../layer/with-storage.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printError, printJson } from '../../terminal/terminal.ts';
import { childrenOf, describeChildren, documentOf, documentText, notesOn } from '../../text/child-text.ts';
import { registryOf } from '../../text/token-text.ts';

type Common = { data: string; json?: boolean };
type CreateOptions = Common & { repository?: string[]; mode: string };

const NAME = new RegExp(ChildName.pattern as string);
const PATTERN = new RegExp(RepositoryPattern.pattern as string);

/** `terrace child`: the layers below this one. */
export function addChildCommand(program: Command): void {
  const group = program.command('child').description('manage the layers below this one');
  const command = (words: string, description: string) =>
    group.command(words).description(description).addOption(dataOption()).option('--json', 'as JSON');
  command(
    'create <name>',
    'create the token of a layer below, and print its configuration and password (shown once)',
  )
    .option('--repository <pattern...>', 'repositories it may access: a name, prefix/* or *')
    .option('--mode <mode>', 'ReadOnly, or ReadWrite if this layer is ReadWrite', 'ReadOnly')
    .action(create);
  command('list', 'list the layers below and their activation').action(list);
  command('deactivate <name>', 'deactivate its current instance, so that another one can activate').action(
    deactivate,
  );
}

async function create(given: string, { data, json, ...options }: CreateOptions): Promise<void> {
  const name = childName(given);
  const mode = modeOf(options.mode);
  const repositories = patternsOf(name, options.repository);
  const created = await withStorage(
    data,
    async ({ bus, signal }) => {
      const current = await readConfiguration(bus);
      mustFit(name, mode, current);
      const query = { name, actions: actionsOfChild(name, mode, repositories) };
      const { password } = await bus.call(createToken, query, { signal });
      const { tokens } = await bus.call(storageStatus, {}, { signal });
      const url = `${current?.tls ? 'https' : 'http'}://${registryOf(current)}`;
      const document = documentOf({ name, mode, repositories, url });
      return { password, document, notes: notesOn(current, tokens) };
    },
    { make: true },
  );
  const { password, document, notes } = created;
  if (json) return printJson(JSON.stringify({ name, mode, repositories, password, document }, null, 2));
  // Only the password goes to stdout, for scripts; for a person it is the last line.
  printError(
    [
      `Child ${name} is created. Its configuration file:`,
      '',
      documentText(document),
      '',
      ...notes,
      `Its password, for the file "${document.parent.passwordFile}" next to it, shown only once:`,
      '',
    ].join('\n'),
  );
  print(password);
}

async function list({ data, json }: Common): Promise<void> {
  const children = await withStorage(data, async (deps) =>
    childrenOf(await listAllTokens(deps), await listAllScopeMaps(deps), await listAllActivated(deps)),
  );
  if (json) printJson(JSON.stringify(children, null, 2));
  else print(describeChildren(children, Date.now(), terminalWidth()));
}

async function deactivate(given: string, { data, json }: Common): Promise<void> {
  const name = childName(given);
  const deactivated = await withStorage(data, async (deps) => {
    const { bus, signal } = deps;
    const { previous } = await bus.call(deactivateChild, { name }, { signal });
    if (previous) return previous;
    const known = childrenOf(await listAllTokens(deps), await listAllScopeMaps(deps), []);
    if (known.some((one) => one.name === name)) return undefined;
    throw new Refusal(`child ${name} does not exist: list the children with "terrace child list"`);
  });
  if (json) return printJson(JSON.stringify({ name, ...(deactivated && { was: deactivated }) }, null, 2));
  print(
    deactivated
      ? `Child ${name} is deactivated: the next instance that connects is activated. Its token is unchanged.`
      : `Child ${name} was not activated.`,
  );
}

async function readConfiguration(bus: Bus): Promise<Configuration | undefined> {
  return (await bus.get(configuration, CONFIGURATION_KEY).catch(() => undefined))?.value;
}

/** What a child pushes must be pushed on by this layer. @throws Refusal */
function mustFit(name: string, mode: Mode, current: Configuration | undefined): void {
  if (mode === 'ReadOnly' || current?.mode === 'ReadWrite') return;
  if (current) {
    throw new Refusal(
      `child ${name} can't be ReadWrite, because this layer is ReadOnly: create it with --mode ReadOnly, or set the mode of this layer to ReadWrite first`,
    );
  }
  throw new Refusal(
    `child ${name}: the mode of this layer is known only while it runs: start the layer with "terrace up" first`,
  );
}

/** @throws Refusal */
function childName(text: string): string {
  if (NAME.test(text)) return text;
  throw new Refusal(
    `name "${text}" is not valid: use lower-case letters, digits and - between them, 63 characters at most`,
    2,
  );
}

/** Accepts the older names too. @throws Refusal */
function modeOf(text: string): Mode {
  if (text === 'ReadOnly' || text === 'Mirror') return 'ReadOnly';
  if (text === 'ReadWrite' || text === 'Registry') return 'ReadWrite';
  throw new Refusal(`--mode "${text}" is not valid: write ReadOnly or ReadWrite`, 2);
}

/** @throws Refusal */
function patternsOf(name: string, given: string[] = []): string[] {
  if (given.length === 0) {
    throw new Refusal(
      `child ${name}: --repository is missing: name the repositories it may access (a name, prefix/* or *)`,
      2,
    );
  }
  const wrong = given.find((pattern) => !PATTERN.test(pattern));
  if (wrong === undefined) return [...new Set(given)];
  throw new Refusal(`--repository "${wrong}" is not valid: write a name, prefix/* or *`, 2);
}
