import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { type ConfigurationReport, getConfiguration } from '#proto/document/field-report.ts';
import { files } from '#proto/document/files.ts';
import { describeFields } from '#proto/document/resolve/describe-fields.ts';
import { environmentFields } from '#proto/document/resolve/module-environment.ts';
import { resolveDocument } from '#proto/document/resolve/resolve.ts';
import { findLayer } from '../../connection/connect.ts';
import { dataFolder } from '../../data/data-folder.ts';
import {
  configurationText,
  configurationYaml,
  type ShownConfiguration,
} from '../../document/shown-fields.ts';
import { readConfigFile } from '../../input/layer-options.ts';
import { overridesOf, type UpOptions } from '../../input/options.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { EXIT_USAGE, Refusal } from '../../terminal/refusal.ts';
import { print, printJson } from '../../terminal/terminal.ts';

type Options = UpOptions & { json?: boolean; yaml?: boolean };

/** `terrace config show`. @throws Refusal */
export async function showConfiguration(options: Options, command: Command): Promise<void> {
  const { json, yaml, ...given } = options;
  if (json && yaml)
    throw new Refusal('--json and --yaml exclude each other: leave one of them out', EXIT_USAGE);
  const others = Object.keys(given).filter((name) => name !== 'data');
  const isAsked = others.some((name) => command.getOptionValueSource(name) === 'cli');
  const data = resolve(options.data);
  const shown = (isAsked ? undefined : await runningConfiguration(data)) ?? startConfiguration(data, given);
  if (json) printJson(JSON.stringify(shown, null, 2));
  else if (yaml) print(configurationYaml(shown));
  else print(configurationText(shown, terminalWidth()));
}

/** Undefined if no layer runs on the data folder. @throws Fault `unavailable` */
async function runningConfiguration(data: string): Promise<ShownConfiguration | undefined> {
  await using bus = await findLayer(dataFolder(data));
  if (!bus) return undefined;
  const report: ConfigurationReport = await bus.call(getConfiguration, {});
  return { running: true, data, ...report };
}

/** What `terrace up` would start with. @throws Refusal with every complaint, one a line; Fault `config-invalid` */
function startConfiguration(data: string, options: UpOptions): ShownConfiguration {
  const file = options.config && resolve(options.config);
  const { fields: defaults } = environmentFields(process.env, data, files.readable);
  const resolved = resolveDocument({
    text: file && readConfigFile(file),
    folder: file && dirname(file),
    overrides: overridesOf(options),
    defaults,
    ...files,
    // The password of a connection string is written to its file at the start.
    readable: (path) => path === defaults.parent?.passwordFile || files.readable(path),
  });
  if ('complaints' in resolved) throw new Refusal(resolved.complaints.join('\n'), EXIT_USAGE);
  return {
    running: false,
    data,
    ...(file && { source: file }),
    complaints: [],
    fields: describeFields(resolved.document, resolved.origins, false),
  };
}
