import { resolve } from 'node:path';
import { Argument, type Command } from 'commander';
import { bashScript } from '../../completion/bash.ts';
import { completionSpec, type NameKind, nameKinds } from '../../completion/completion-spec.ts';
import { fishScript } from '../../completion/fish.ts';
import { zshScript } from '../../completion/zsh.ts';
import { dataOption } from '../../data/data-option.ts';
import { output, print } from '../../terminal/terminal.ts';

/** Max time for names of a layer, in ms: a person waits for them. A slow machine may set `TERRACE_COMPLETION_MS`. */
const NAMES_MS = Number(process.env.TERRACE_COMPLETION_MS) || 1_000;

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };
type Shell = keyof typeof scripts;

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .summary('print a script for completion in a shell')
    .description(
      'print a script that completes commands, options, files and names of the layer: source <(terrace completion bash)',
    )
    .addArgument(new Argument('<shell>', 'shell that reads it').choices(Object.keys(scripts)))
    .action((shell: Shell) => output.toStdout(`${scripts[shell](completionSpec(program))}\n`));
}

/** For the scripts: silent and in time, also if something fails. */
export function addCompleteCommand(program: Command): void {
  program
    .command('complete', { hidden: true })
    .description('print names of the layer that runs, for the scripts of terrace completion')
    .addArgument(new Argument('<kind>', 'kind of names').choices(nameKinds))
    .argument('[prefix]', 'beginning of the names')
    .addOption(dataOption())
    .action(async (kind: NameKind, prefix = '', { data }: { data: string }) => {
      const end = setTimeout(() => process.exit(0), NAMES_MS);
      try {
        const { layerNames } = await import('../../completion/names.ts');
        const names = await layerNames(kind, resolve(data), prefix, AbortSignal.timeout(NAMES_MS));
        if (names.length > 0) print(names.join('\n'));
      } catch {
        // The shell shows nothing, as for a word that it does not know.
      } finally {
        clearTimeout(end);
      }
    });
}
