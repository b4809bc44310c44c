import { resolve } from 'node:path';
import type { Command } from 'commander';
import { makeFolders, writeBus } from '../../data/data-folder.ts';
import { dataOption } from '../../data/data-option.ts';
import { parseAddress } from '../../data/ports.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { print, printJson } from '../../terminal/terminal.ts';

export function addInitCommand(program: Command): void {
  program
    .command('init')
    .description('prepare a data folder for services in separate containers')
    .addOption(dataOption('folder for all data of the layer'))
    .requiredOption('--bus <host:port>', 'address of the nats-server, as the services reach it')
    .option('--json', 'as JSON')
    .action(async ({ data, bus, json }: { data: string; bus: string; json?: boolean }) => {
      const { host, port } = parseAddress(bus);
      if (!host || !(port >= 1 && port <= 65_535)) {
        throw new Refusal(`--bus "${bus}" is not valid: write host:port, such as nats:4222`, 2);
      }
      const folder = await makeFolders(resolve(data));
      // In its own container, the nats-server listens only on the network of the containers.
      const url = `nats://${bus}`;
      await writeBus(folder, { host: '0.0.0.0', port, url });
      const { root, busConfiguration } = folder;
      if (json) return printJson(JSON.stringify({ data: root, bus: url, busConfiguration }, null, 2));
      print(`${root} is prepared: start nats-server -c ${busConfiguration}, then the services`);
    });
}
