import { Command } from 'commander';
import { version } from '#proto/process/version.ts';
import { print, printError } from '../terminal/terminal.ts';
import { groups } from './commands.ts';

/** Commands that describe all commands. */
const ABOUT_ALL = new Set(['completion', 'man']);

/** `terrace` with the named command; with all of them for the help, and for an unknown name. */
export async function programOf(name = ''): Promise<Command> {
  const program = new Command('terrace')
    .description('a connected container registry for layered networks')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print the help')
    .configureHelp({ subcommandTerm, subcommandDescription })
    .configureOutput({
      writeOut: (text) => print(text.trimEnd()),
      writeErr: (text) => printError(text.trimEnd()),
      // input/usage-errors.ts says more.
      outputError() {},
    })
    .exitOverride();
  const named = name === '--version' || name === '-V' ? 'version' : name;
  const isAlone = !ABOUT_ALL.has(named) && Object.values(groups).some((group) => Object.hasOwn(group, named));
  for (const [heading, group] of Object.entries(groups)) {
    program.commandsGroup(heading);
    const loads = Object.entries(group).filter(([known]) => !isAlone || known === named);
    const defines = await Promise.all(loads.map(([, load]) => load()));
    for (const define of defines) define(program);
  }
  program.helpCommand('help [command]', 'print the help of a command');
  return program;
}

/** What the help lists of a command: its purpose, up to the first semicolon or the end of the sentence. */
function subcommandDescription(command: Command): string {
  // Nouns have a command `help` that commander declares.
  if (command.name() === 'help') return 'print the help of a command';
  const [first = ''] = (command.summary() || command.description()).split(/;|\. /);
  return first;
}

/** A command as the help lists it: its name and arguments. */
const subcommandTerm = (command: Command): string =>
  [
    command.name(),
    ...command.registeredArguments.map((one) => (one.required ? `<${one.name()}>` : `[${one.name()}]`)),
  ].join(' ');
