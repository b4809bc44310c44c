import type { Command } from 'commander';
import { CONFIGURATION_KEY, configuration } from '#proto/document/configuration.ts';
import { imageDeltas } from '#proto/overview/content/image-deltas.ts';
import { connectOperator } from '../../connection/connect.ts';
import { LocalContent } from '../../connection/read-content.ts';
import { dataOption } from '../../data/data-option.ts';
import { imageArgument } from '../../input/image-name.ts';
import { terminalWidth } from '../../terminal/layout.ts';
import { print, printJson } from '../../terminal/terminal.ts';
import { imageDeltasText } from '../../text/sync/delta-text.ts';

type Options = { data: string; json?: boolean };

export function addDeltaCommand(program: Command): void {
  const delta = program.command('delta').description('deltas: what crosses a link instead of content');
  delta
    .command('explain <image>')
    .description(
      'show how each layer of an image, REPOSITORY:TAG or REPOSITORY@DIGEST, came here, and the deltas to it that are kept: bases, kinds, sizes and times',
    )
    .addOption(dataOption())
    .option('--json', 'as JSON')
    .action(async (text: string, { data, json }: Options) => {
      const { repository, reference } = imageArgument(text);
      await using bus = await connectOperator(data);
      const read = new LocalContent(bus, data).manifest;
      const [image, inForce] = await Promise.all([
        imageDeltas({ bus, read }, repository, reference),
        bus.get(configuration, CONFIGURATION_KEY),
      ]);
      const mode = inForce?.value.delta.mode;
      const shown = { name: text, ...(mode && { mode }), ...image };
      if (json) printJson(JSON.stringify(shown, null, 2));
      else print(imageDeltasText(shown, Date.now(), terminalWidth()));
    });
}
