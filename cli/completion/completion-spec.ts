import type { Argument, Command, Option } from 'commander';
import { eventTypes } from '#proto/contract/event-types.ts';

/**
 * What a shell completes on a command line of `terrace`: read from the commands as declared on commander. bash.ts,
 * zsh.ts and fish.ts write a script of it; names.ts has the names that only a running layer knows, which the scripts
 * ask for with `terrace complete`. Pure, apart from names.ts.
 */

/** Names that a running layer is asked for. */
export const nameKinds = ['repositories', 'tokens', 'scopes', 'children'] as const;
export type NameKind = (typeof nameKinds)[number];

/** What a value is: one of these words, a file, a folder, a name of the layer; anything else is not completed. */
export type ValueKind = { words: readonly string[] } | { names: NameKind } | 'file' | 'folder' | 'any';

export type OptionSpec = {
  long: string;
  short?: string;
  description: string;
  /** Absent if it takes none. */
  value?: { name: string; kind: ValueKind; isOptional: boolean; isVariadic: boolean };
};

export type CommandSpec = {
  /** Words after `terrace`, joined by spaces; empty for `terrace` itself. */
  path: string;
  description: string;
  /** Words that may follow. */
  commands: { name: string; description: string }[];
  options: OptionSpec[];
  argument?: { name: string; kind: ValueKind };
};

/** `terrace` and all its commands, each before those below it. Hidden ones are left out. */
export function completionSpec(program: Command, path = ''): CommandSpec[] {
  const inner = program.createHelp().visibleCommands(program);
  const declared = inner.filter((one) => program.commands.includes(one));
  const [argument] = program.registeredArguments;
  const spec: CommandSpec = {
    path,
    description: program.description(),
    commands: inner.map((one) => ({ name: one.name(), description: one.description() })),
    options: program
      .createHelp()
      .visibleOptions(program)
      .flatMap((option) => optionSpec(path, option)),
    ...(argument && { argument: { name: argument.name(), kind: argumentKind(path, argument) } }),
  };
  return [spec, ...declared.flatMap((one) => completionSpec(one, `${path} ${one.name()}`.trim()))];
}

function optionSpec(path: string, option: Option): OptionSpec[] {
  const { long, short, description, required, optional, variadic } = option;
  if (!long) return [];
  const value =
    required || optional
      ? {
          name: /[<[]([^>\].]+)/.exec(option.flags)?.[1] ?? 'value',
          kind: optionKind(path, option),
          isOptional: optional,
          isVariadic: variadic,
        }
      : undefined;
  return [{ long, description, ...(short && { short }), ...(value && { value }) }];
}

const modes = { words: ['ReadOnly', 'ReadWrite'] };
/** Values of options that commander does not check: a document has the same ones. */
const optionWords: Record<string, ValueKind> = {
  '--mode': modes,
  '--challenge': { words: ['Bearer', 'Basic'] },
  '--type': { words: eventTypes },
  '--password': { words: ['password1', 'password2'] },
  '--scope-map': { names: 'scopes' },
  '--expires': { words: ['P30D', 'P90D', 'P365D'] },
};

function optionKind(path: string, { long, flags, argChoices }: Option): ValueKind {
  if (argChoices) return { words: argChoices };
  const known = long && optionWords[long];
  if (known) return known;
  // Its patterns are of repositories at the parent, or on other devices.
  const isHere = !path.startsWith('iotedge') && path !== 'up';
  if (/<pattern\.*>/.test(flags) && isHere) return { names: 'repositories' };
  return placeholderKind(flags);
}

function placeholderKind(flags: string): ValueKind {
  if (/[<[]file/.test(flags)) return 'file';
  return /[<[](?:dir|folder)/.test(flags) ? 'folder' : 'any';
}

const namesOfNouns: Record<string, NameKind> = { token: 'tokens', scope: 'scopes', child: 'children' };

function argumentKind(path: string, argument: Argument): ValueKind {
  if (argument.argChoices) return { words: argument.argChoices };
  const name = argument.name();
  const [noun = '', verb] = path.split(' ');
  if (name === 'name' && verb !== 'create' && namesOfNouns[noun]) return { names: namesOfNouns[noun] };
  if (/^(repository|image|prefix)$/.test(name)) return { names: 'repositories' };
  if (name === 'file') return 'file';
  // Backups are folders or files.
  return /^(target|source|folder|dir)$/.test(name) ? 'file' : 'any';
}
