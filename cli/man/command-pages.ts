import type { Command } from 'commander';
import { connectedRegistryVariables, layerVariables } from '#proto/process/environment.ts';
import { exitCodes } from '../terminal/refusal.ts';
import { bold, heading, item, page, paragraph, sentence, subheading } from './roff.ts';

/**
 * Manual pages: `commandPages` makes terrace(1) and one page for each command, of the same texts as --help and
 * docs/reference/command-line.md; document-page.ts makes terrace.yaml(5) of the schema of a document, as
 * docs/reference/configuration.md; roff.ts writes them. Pure.
 */

export type ManualPage = { file: string; text: string };

export function commandPages(program: Command, version: string): ManualPage[] {
  const commands = visible(program);
  return [
    { file: 'terrace.1', text: overview(program, commands, version) },
    ...commands.map((command) => ({
      file: `terrace-${command.name()}.1`,
      text: page(`terrace-${command.name()}`, 1, version, command.description(), [
        ...parts(command),
        heading('Exit status'),
        ...Object.entries(exitCodes).map(([code, meaning]) => item(bold(code), meaning)),
        heading('See also'),
        seeAlso([command.name() === 'config' ? 'terrace.yaml(5)' : 'terrace(1)', 'terrace(1)']),
      ]),
    })),
  ];
}

function overview(program: Command, commands: readonly Command[], version: string): string {
  const headings = [...new Set(commands.map((command) => command.helpGroup()))];
  return page('terrace', 1, version, program.description(), [
    heading('Synopsis'),
    `${bold('terrace')} COMMAND [OPTIONS] [ARGUMENTS]`,
    heading('Description'),
    paragraph(
      'A layer serves container clients and keeps itself equal to the registry above it. `terrace up` starts one; the other commands connect to the one that runs on the data folder, `--data`. `terrace COMMAND --help` prints the options of a command.',
    ),
    heading('Commands'),
    ...headings.flatMap((title) => [
      subheading(title.replace(/:$/, '')),
      ...commands
        .filter((command) => command.helpGroup() === title)
        .map((command) => item(bold(`terrace-${command.name()}(1)`), sentence(command.description()))),
    ]),
    heading('Options'),
    ...optionItems(program),
    heading('Exit status'),
    paragraph(
      'An error is one sentence on stderr for each cause, which ends with the remedy. With `--json`, it is one JSON object, the last line of stderr.',
    ),
    ...Object.entries(exitCodes).map(([code, meaning]) => item(bold(code), meaning)),
    heading('Environment'),
    ...Object.entries({ ...layerVariables, ...connectedRegistryVariables }).map(([name, variable]) =>
      item(bold(name), variable.description),
    ),
    heading('Files'),
    item(bold('data'), 'Default data folder, in the present folder.'),
    item(bold('data/log/terrace.log'), 'Log of the layer: see `terrace logs`.'),
    heading('See also'),
    seeAlso(['terrace.yaml(5)', ...commands.map((command) => `terrace-${command.name()}(1)`)]),
  ]);
}

/** Synopsis and options; of a noun, those of each of its verbs. */
function parts(command: Command): string[] {
  const inner = visible(command);
  const leaves = inner.length === 0 ? [command] : [...(isRunnable(command) ? [command] : []), ...inner];
  return [
    heading('Synopsis'),
    leaves.map((leaf) => `${bold(nameOf(leaf))} ${usageOf(leaf)}`).join('\n.br\n'),
    heading('Description'),
    paragraph(sentence(command.description())),
    ...(inner.length === 0
      ? [...argumentItems(command), heading('Options'), ...optionItems(command)]
      : [
          heading('Commands'),
          ...leaves.flatMap((leaf) => [
            subheading(`${nameOf(leaf)} ${argumentsOf(leaf)}`.trim()),
            paragraph(sentence(leaf.description())),
            ...argumentItems(leaf),
            ...optionItems(leaf),
          ]),
        ]),
  ];
}

/** Whether a noun is a command by itself, too. */
const isRunnable = ({ options, registeredArguments }: Command): boolean =>
  options.length > 0 || registeredArguments.length > 0;

const visible = (command: Command): Command[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => command.commands.includes(one));

const nameOf = (command: Command): string =>
  command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();

const argumentsOf = ({ registeredArguments }: Command): string =>
  registeredArguments.map((one) => (one.required ? `<${one.name()}>` : `[${one.name()}]`)).join(' ');

const usageOf = (command: Command): string => `[OPTIONS] ${argumentsOf(command)}`.trim();

const argumentItems = (command: Command): string[] =>
  command.registeredArguments
    .filter(({ description }) => description)
    .map((one) => item(bold(one.required ? `<${one.name()}>` : `[${one.name()}]`), described(one)));

const optionItems = (command: Command): string[] =>
  command
    .createHelp()
    .visibleOptions(command)
    .map((option) => item(bold(option.flags), described(option)));

type Declared = {
  description: string;
  argChoices?: readonly string[] | undefined;
  defaultValue?: unknown;
  long?: string | undefined;
};

/** The description, the choices, and the default, unless the environment decides it. */
function described({ description, argChoices, defaultValue, long }: Declared): string {
  const isShown = typeof defaultValue === 'string' || Array.isArray(defaultValue);
  const value = long === '--data' ? 'data' : isShown ? [defaultValue].flat().join(' ') : undefined;
  return [
    sentence(description),
    ...(argChoices ? [`One of ${argChoices.map((one) => `\`${one}\``).join(', ')}.`] : []),
    ...(value === undefined ? [] : [`Default: \`${value}\`.`]),
  ].join(' ');
}

const seeAlso = (pages: readonly string[]): string => [...new Set(pages)].map(bold).join(', ');
