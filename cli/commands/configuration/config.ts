import type { Command } from 'commander';
import { dataOption } from '../../data/data-option.ts';
import { documentSchema } from '../../document/document-schema.ts';
import { addLayerOptions } from '../../input/layer-options.ts';
import { printJson } from '../../terminal/terminal.ts';
import { checkConfiguration } from './config-check.ts';
import { showConfiguration } from './config-show.ts';

export function addConfigCommand(program: Command): void {
  const group = program
    .command('config')
    .description('show the configuration in force, check documents, and print their schema');
  const show = group
    .command('show')
    .description(
      'show each field with its source: of the layer that runs, else of one that would be started; with options of terrace up, of one that is started with them',
    )
    .addOption(dataOption());
  addLayerOptions(show)
    .option('--json', 'as JSON')
    .option('--yaml', 'as a document, with the sources as comments')
    .action(showConfiguration);
  group
    .command('check')
    .description(
      'make the checks of a start on a document, and of the files that it names; all faults are found in one round',
    )
    .argument('<file>', 'the document, YAML; - reads it from stdin')
    .addOption(dataOption('data folder that the layer will have'))
    .option('--no-environment', 'without the variables of the environment that a start would use')
    .option('--strict', 'warnings count as faults')
    .option('--json', 'as JSON')
    .action(checkConfiguration);
  group
    .command('schema')
    .description('print the JSON Schema of configuration documents, for editors')
    .action(() => printJson(JSON.stringify(documentSchema(), null, 2)));
}
