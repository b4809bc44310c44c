import { join } from 'node:path';
import type { Command, Option } from 'commander';
import type * as Programs from '../../cli/commands/program.ts';
import type * as Refusals from '../../cli/terminal/refusal.ts';
import { code, codes, page, plain, sentence, table } from './markdown.ts';

/** docs/reference/command-line.md */

const cli = join(import.meta.dirname, '../../cli');
// Loaded by path: commands can start processes, and test/tier.ts finds tests that do so by their static imports.
const { programOf } = (await import(join(cli, 'commands/program.ts'))) as typeof Programs;
const { errorCodes, exitCodes } = (await import(join(cli, 'terminal/refusal.ts'))) as typeof Refusals;

export const program = await programOf();

/** The commands that are not hidden. */
const visible = (command: Command): Command[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => command.commands.includes(one));

const nameOf = (command: Command): string =>
  command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();

/** Some options give their default in the description: it applies only where no document sets the field. */
const DEFAULT = /\s*\(default: (.*)\)$/;

function defaultOf({ long, defaultValue, mandatory, description }: Option): string {
  if (mandatory) return 'required';
  // The environment of this process may have another data folder.
  if (long === '--data') return code('data');
  if (defaultValue === undefined || typeof defaultValue === 'boolean') {
    return plain(DEFAULT.exec(description)?.[1] ?? '');
  }
  return Array.isArray(defaultValue) ? codes(defaultValue) : code(String(defaultValue));
}

const choicesOf = ({ argChoices }: { argChoices?: readonly string[] | undefined }): string =>
  argChoices ? ` One of ${codes(argChoices)}.` : '';

function sectionOf(command: Command, level: string): string {
  const parameters = command.registeredArguments.map((argument) => {
    const name = argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
    return [code(name), `${sentence(argument.description)}${choicesOf(argument)}`];
  });
  const described = parameters.filter(([, meaning]) => meaning);
  const options = command.options.map((option) => [
    code(option.flags),
    defaultOf(option),
    `${sentence(plain(option.description.replace(DEFAULT, '')))}${choicesOf(option)}`,
  ]);
  const inner = visible(command).map((one) => sectionOf(one, `${level}#`));
  const usage = `\`\`\`\n${nameOf(command)} ${command.usage()}\n\`\`\``;
  return [
    `${level} ${nameOf(command)}`,
    sentence(plain(command.description())),
    ...(inner.length === 0 || parameters.length > 0 ? [usage] : []),
    ...(described.length > 0 ? [table(['Argument', 'Meaning'], described)] : []),
    ...(options.length > 0 ? [table(['Option', 'Default', 'Meaning'], options)] : []),
    ...inner,
  ].join('\n\n');
}

/** The commands under each heading of the help. */
function groupsOf(commands: readonly Command[]): string {
  const headings = [...new Set(commands.map((command) => command.helpGroup()))];
  return headings
    .map((heading) => {
      const rows = commands
        .filter((command) => command.helpGroup() === heading)
        .map((command) => {
          const name = command.name();
          return [`[${code(`terrace ${name}`)}](#terrace-${name})`, sentence(command.description())];
        });
      return `**${heading.replace(':', '')}**\n\n${table(['Command', 'Purpose'], rows)}`;
    })
    .join('\n\n');
}

export function commandLinePage(): string {
  return page(
    'Command line',
    'For operators: every command of `terrace`, with its arguments, options, defaults and exit codes.',
    'In a checkout, `npx terrace` runs the command. `terrace <command> --help` prints the same facts. `<…>` is required, `[…]` may be left out, and `…` in an option takes several values. The default of `--data` is `TERRACE_DATA` or `ACR_REGISTRY_DATA_VOLUME`, if one is set.',
    'Shells complete commands, options, files and the names of a running layer: `source <(terrace completion bash)` in `.bashrc`, `source <(terrace completion zsh)` in `.zshrc`, or `terrace completion fish | source` in `config.fish`. Packages install manual pages of the same text: terrace(1), terrace-up(1) and so on, terrace.yaml(5).',
    groupsOf(visible(program)),
    '## Exit codes',
    'An error is one sentence on stderr for each cause, which ends with the remedy. With `--json`, it is one object, the last line of stderr: `{"error":{"code":"no-layer","message":"…","exitCode":69}}`; the code is the one below, or that of the [fault](faults.md) that caused it.',
    table(
      ['Exit code', '`code`', 'Meaning'],
      Object.entries(exitCodes).map(([exit, meaning]) => [
        exit,
        errorCodes[Number(exit)] ? code(errorCodes[Number(exit)] as string) : '',
        meaning,
      ]),
    ),
    ...visible(program).map((command) => sectionOf(command, '##')),
  );
}
