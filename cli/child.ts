import type { Command } from 'commander';
import { createToken, listTokens, showScopeMap } from '#proto/accounts.ts';
import { layersBelow } from '#proto/below.ts';
import type { Bus } from '#proto/bus.ts';
import { type Active, deactivateChild, listChildren } from '#proto/children.ts';
import { CONFIGURATION_KEY, configuration, type Mode } from '#proto/configuration.ts';
import { allowsGateway, isChild } from '#proto/scopes.ts';
import { type Child, childActions, configurationText, describeChildren, modeOf } from './child-text.ts';
import { dataOption } from './data-option.ts';
import { withStorage } from './operate.ts';
import { actionsOf } from './permissions.ts';
import { Refusal } from './refusal.ts';

type Common = { data: string; json?: boolean };
type CreateOptions = Common & { repository: string[]; mode: string };

export function child(program: Command): void {
  const group = program
    .command('child')
    .description('layers below: their sync tokens, and which instance of each is active');
  const command = (words: string, description: string) =>
    group.command(words).description(description).addOption(dataOption());
  command('create <name>', 'make a sync token for a layer below, and print its password, once')
    .option('--repository <pattern...>', 'what it may have: a name, prefix/* or *', ['*'])
    .option('--mode <mode>', 'ReadOnly, or ReadWrite: it may push and delete too', 'ReadOnly')
    .option('--json', 'as JSON, the password in it')
    .action(create);
  command('list', 'all layers below').option('--json', 'as JSON').action(list);
  command('deactivate <name>', 'let another instance of the layer take its place').action(deactivate);
}

async function create(given: string, { data, json, repository, mode }: CreateOptions): Promise<void> {
  const name = childName(given);
  if (mode !== 'ReadOnly' && mode !== 'ReadWrite') {
    throw new Refusal(`--mode "${mode}" is not valid: write ReadOnly or ReadWrite`, 2);
  }
  const permissions = mode === 'ReadWrite' ? { push: repository, delete: repository } : { pull: repository };
  const actions = [...(actionsOf(permissions) ?? []), ...childActions(name)];
  await withStorage(
    data,
    async ({ bus, signal }) => {
      const inForce = (await bus.get(configuration, CONFIGURATION_KEY).catch(() => undefined))?.value;
      if (mode === 'ReadWrite') mustBeWritable(name, inForce?.mode);
      const { password } = await bus.call(createToken, { name, actions }, { signal });
      const text = configurationText({ name, mode, repositories: repository, parent: inForce });
      if (json)
        return console.log(JSON.stringify({ name, mode, repositories: repository, password }, null, 2));
      console.error(`Layer ${name} may log in here. Its configuration:\n\n${text}\n`);
      console.error('The password, for that file, shown this once:\n');
      console.log(password);
    },
    { make: true },
  );
}

/** What a client pushes in the child has to go on from here. @throws Refusal */
function mustBeWritable(name: string, mode: Mode | undefined): void {
  if (mode === 'ReadWrite') return;
  throw new Refusal(
    mode === undefined
      ? `child ${name}: whether this layer is ReadWrite is known only while it runs: start it first`
      : `child ${name}: this layer is ReadOnly, so the layers below it must be: use --mode ReadOnly, or set mode: ReadWrite here`,
  );
}

async function list({ data, json }: Common): Promise<void> {
  const children = await withStorage(data, async ({ bus, signal }) => {
    const [named, { children: active }, below] = await Promise.all([
      childTokens(bus, signal),
      bus.call(listChildren, {}, { signal }),
      bus.list(layersBelow).catch(() => new Map()),
    ]);
    const names = [...new Set([...named.keys(), ...active.map(({ name }) => name)])].sort();
    return names.map((name): Child => {
      const actions = named.get(name) ?? [];
      const { since, instance, seen } = active.find((one) => one.name === name) ?? ({} as Partial<Active>);
      const told = below.get(name);
      return {
        name,
        ...modeOf(actions),
        ...(instance !== undefined && { instance, since }),
        ...(seen !== undefined && { seen: Math.max(seen, told?.seen ?? 0) }),
        ...(told?.layers[0]?.link && { state: told.layers[0].link.state }),
      };
    });
  });
  console.log(json ? JSON.stringify(children, null, 2) : describeChildren(children, Date.now()));
}

/** By name, the tokens that may speak for a child of their own name: their actions. */
async function childTokens(bus: Bus, signal: AbortSignal): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  let after: string | undefined;
  for (let more = true; more; ) {
    const page = await bus.call(
      listTokens,
      { limit: 500, ...(after !== undefined && { after }) },
      { signal },
    );
    for (const { name, scopeMap } of page.tokens) {
      const { actions } = await bus.call(showScopeMap, { name: scopeMap }, { signal });
      if (allowsGateway(actions, name, 'config/write')) found.set(name, actions);
    }
    after = page.tokens.at(-1)?.name;
    more = page.more;
  }
  return found;
}

async function deactivate(given: string, { data }: Common): Promise<void> {
  const name = childName(given);
  const { was } = await withStorage(data, ({ bus, signal }) =>
    bus.call(deactivateChild, { name }, { signal }),
  );
  console.log(
    was
      ? `No instance of ${name} is active now: the next one that asks becomes it.`
      : `No instance of ${name} was active.`,
  );
}

/** @throws Refusal */
function childName(text: string): string {
  if (isChild(text)) return text;
  throw new Refusal(
    `name "${text}" is not valid: use lower-case letters, digits and - between them, 63 characters at most`,
    2,
  );
}
