import { type Command, Option } from 'commander';
import { dataOption } from '../../data/data-option.ts';
import { checks } from '../../doctor/checks.ts';
import { examine } from '../../doctor/doctor.ts';
import { paintReport, reportText } from '../../doctor/report-text.ts';
import { addLayerOptions } from '../../input/layer-options.ts';
import type { UpOptions } from '../../input/options.ts';
import { type ColourWhen, colourOption, usesColour } from '../../terminal/colour.ts';
import { terminalWidth, wrapWords } from '../../terminal/layout.ts';
import { print, printJson } from '../../terminal/terminal.ts';
import { secondsOf } from './status.ts';

/** Max time of all checks, in ms. */
const TOTAL_MS = 30_000;

type Options = UpOptions & { only?: string[]; timeout?: number; json?: boolean; color: ColourWhen };

/** Exits with 1 if there is a fault. */
export function addDoctorCommand(program: Command): void {
  const command = program
    .command('doctor')
    .description(
      'examine a layer, running or not: machine, data folder, configuration, parent; changes nothing',
    )
    .addOption(dataOption())
    .addOption(
      new Option('--only <check...>', 'only these checks, and what they need').choices(
        checks.map(({ name }) => name),
      ),
    )
    .option('--timeout <seconds>', 'max time of all checks (default: 30)', secondsOf)
    .option('--json', 'as JSON')
    .addOption(colourOption());
  addLayerOptions(command)
    .addHelpText(
      'after',
      `\nThe options of "terrace up" count while the layer does not run.\n\n${checkList()}`,
    )
    .action(async ({ only, timeout = TOTAL_MS, json, color, ...options }: Options) => {
      const report = await examine(options, { totalMs: timeout, ...(only && { only }) });
      if (json) printJson(JSON.stringify(report, null, 2));
      else print(reportText(report, terminalWidth()), usesColour(color) ? paintReport : undefined);
      process.exitCode = report.summary.faults > 0 ? 1 : 0;
    });
}

/** Column at which the descriptions begin. */
const DESCRIPTION_AT = 22;

function checkList(): string {
  const width = terminalWidth() - DESCRIPTION_AT;
  const lines = checks.flatMap(({ name, description }) => {
    const [first = '', ...more] = wrapWords(description, width);
    const head = `  ${name}`.padEnd(DESCRIPTION_AT) + first;
    return [head, ...more.map((line) => ' '.repeat(DESCRIPTION_AT) + line)];
  });
  return ['Checks:', ...lines].join('\n');
}
