import type { Argument, Command, CommanderError, Option } from 'commander';
import { clip } from '#proto/contract/clip.ts';
import { nearWords } from '#proto/contract/near-words.ts';
import { EXIT_USAGE, Refusal } from '../terminal/refusal.ts';
import { singleLine } from '../terminal/terminal.ts';
import { otherCommands, otherOptions, otherVerbs } from './other-words.ts';

/** What is wrong with a command line, in one sentence that ends with the remedy. */

/** Max length of a word of the command line in an error. */
const MAX_SHOWN = 64;

/** Examples of arguments, by their names. */
const examples: Record<string, string> = {
  name: 'line-1',
  file: 'terrace.yaml',
  repository: 'line/app',
  image: 'line/app:1.2',
  dir: '/media/usb',
  folder: '/media/usb',
  source: '/mnt/backup',
  target: '/mnt/backup',
};

/**
 * The error of commander as a refusal.
 * @param program as declared, with the commands that the command line may name
 */
export function usageRefusal(
  error: CommanderError,
  program: Command,
  parameters: readonly string[],
): Refusal {
  const command = commandOf(program, parameters);
  const message = error.message.replace(/^error: /, '');
  const [, first = '', second = ''] = /'(.*?)'(?:[^']*'(.*?)')?/s.exec(message) ?? [];
  return new Refusal(sentenceOf(error.code, { command, message, first, second, parameters }), EXIT_USAGE);
}

export const unknownCommandRefusal = (program: Command, word: string): Refusal =>
  new Refusal(unknownCommand(program, word), EXIT_USAGE);

/** @param first what commander quotes first in its message, `second` what it quotes next */
type Cause = {
  command: Command;
  message: string;
  first: string;
  second: string;
  parameters: readonly string[];
};

function sentenceOf(code: string, cause: Cause): string {
  const { command, message, first } = cause;
  switch (code) {
    case 'commander.unknownCommand':
      return unknownCommand(command, first);
    case 'commander.unknownOption':
      return unknownOption(cause);
    case 'commander.missingArgument':
      return `<${first}> is missing: write it, as in "${lineOf(command)}"`;
    case 'commander.optionMissingArgument':
      return `${longOf(first)} has no value: write it as ${first}`;
    case 'commander.missingMandatoryOptionValue':
      return `${longOf(first)} is missing: write it, as in "${lineOf(command)}"`;
    case 'commander.excessArguments':
      return excess(command);
    case 'commander.conflictingOption':
      return `${longOf(first)} and ${longOf(cause.second)} exclude each other: leave one of them out`;
    case 'commander.invalidArgument':
      return invalid(cause);
    default:
      return `${message}: see "${nameOf(command)} --help"`;
  }
}

function unknownCommand(command: Command, word: string): string {
  const isTop = !command.parent;
  const name = nameOf(command);
  const what = `${shown(word)} is not a command${isTop ? '' : ` of "${name}"`}`;
  const verbs = command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => command.commands.includes(one))
    .map((one) => one.name());
  if (isTop && Object.hasOwn(otherCommands, word)) return `${what}: ${otherCommands[word]}`;
  const other = Object.hasOwn(otherVerbs, word) ? otherVerbs[word] : undefined;
  if (!isTop && other && verbs.includes(other)) return `${what}: write "${name} ${other}"`;
  const near = nearWords(word, verbs);
  if (near.length > 0) return `${what}: did you mean ${listed(near.map((one) => `"${name} ${one}"`))}?`;
  return isTop
    ? `${what}: "terrace --help" lists all commands`
    : `${what}: its commands are ${verbs.join(', ')}`;
}

function unknownOption({ command, first: flag, parameters }: Cause): string {
  const what = `${shown(flag)} is not an option of "${nameOf(command)}"`;
  const isGroup = command.commands.length > 0;
  const inner =
    isGroup && parameters.slice(parameters.indexOf(flag) + 1).find((word) => findIn(command, word));
  if (inner) return `${what}: write options after the command, as in "${nameOf(command)} ${inner} ${flag}"`;
  const flags = command.options.flatMap(({ long, hidden }) => (long && !hidden ? [long] : []));
  const name = flag.replace(/^-+/, '');
  const other = Object.hasOwn(otherOptions, name) ? otherOptions[name] : undefined;
  const near = nearWords(
    name,
    [...flags, '--help'].map((long) => long.slice(2)),
  );
  if (flag.startsWith('--') && near.length > 0) {
    return `${what}: did you mean ${listed(near.map((one) => `--${one}`))}?`;
  }
  if (other && flags.includes(other)) return `${what}: write ${other}`;
  return `${what}: "${nameOf(command)} --help" lists its options`;
}

function excess(command: Command): string {
  const count = command.registeredArguments.length;
  const takes = count === 0 ? 'no argument' : count === 1 ? 'one argument' : `${count} arguments`;
  const extra = command.args[count];
  const given = extra === undefined ? 'there are more' : `${shown(extra)} is one more`;
  return `"${nameOf(command)}" takes ${takes}, and ${given}: remove it, or see "${nameOf(command)} --help"`;
}

/** Of a value: what commander quotes first is the option, or the value of an argument. */
function invalid({ command, message, first, second }: Cause): string {
  const isOption = message.startsWith('option ');
  const [label, value] = isOption ? [longOf(first), second] : [`<${second}>`, first];
  const choices = choicesOf(command, first, second);
  if (choices) {
    const near = nearWords(value, choices, 1);
    const question = near.length > 0 ? `did you mean ${near[0]}? Write ` : 'write ';
    return `${label} ${shown(value)} is not valid: ${question}${listed(choices)}`;
  }
  return `${label} ${shown(value)} is not valid: ${message.slice(message.indexOf(' is invalid') + 12).trim()}`;
}

function choicesOf(command: Command, first: string, second: string): readonly string[] | undefined {
  const option: Option | undefined = command.options.find(({ flags }) => flags === first);
  const argument: Argument | undefined = command.registeredArguments.find((one) => one.name() === second);
  return option ? option.argChoices : argument?.argChoices;
}

/** The command that the words name, down to the last verb. */
function commandOf(program: Command, parameters: readonly string[]): Command {
  let command = program;
  for (const word of parameters) {
    const inner = findIn(command, word);
    if (!inner) break;
    command = inner;
  }
  return command;
}

const findIn = ({ commands }: Command, word: string): Command | undefined =>
  commands.find((one) => one.name() === word);

/** `terrace token create` */
export const nameOf = (command: Command): string =>
  command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();

/** The command with an example of each argument, and the options, that it needs. */
const lineOf = (command: Command): string =>
  [
    nameOf(command),
    ...command.registeredArguments
      .filter(({ required }) => required)
      .map((one) => one.argChoices?.[0] ?? examples[one.name()] ?? `<${one.name()}>`),
    ...command.options.filter(({ mandatory }) => mandatory).map(({ flags }) => flags),
  ].join(' ');

/** `--listen` of `-l, --listen <host:port>` */
const longOf = (flags: string): string => /--[\w-]+/.exec(flags)?.[0] ?? flags;

const shown = (word: string): string => `"${singleLine(clip(word, MAX_SHOWN))}"`;

const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
