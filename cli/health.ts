import { hostname } from 'node:os';
import { type Command, Option } from 'commander';
import { type ServiceName, serviceNames } from '#proto/access.ts';
import { connectOperator } from './connect.ts';
import { dataOption } from './data-option.ts';
import { type LayerStatus, layerStatus } from './layer-status.ts';
import { Refusal } from './refusal.ts';

export function health(program: Command): void {
  program
    .command('health')
    .description('end with 0 where the services on this machine or in this container are well, else with 1')
    .addOption(dataOption())
    .addOption(new Option('--service <name>', 'this one only').choices(serviceNames))
    .action(async ({ data, service }: { data: string; service?: ServiceName }) => {
      await using bus = await connectOperator(data, 'terrace', { wait: false });
      const unwell = unwellIn(await layerStatus(bus), service ? [service] : [...serviceNames]);
      if (unwell.length > 0) throw new Refusal(`not well: ${unwell.join(', ')}`);
    });
}

/** A service is well that told of itself lately, from here, and that answers where it serves requests. */
export function unwellIn(
  { services, silent }: LayerStatus,
  wanted: ServiceName[],
  host = hostname(),
): string[] {
  const here = new Set(services.filter((status) => status.host === host).map((status) => status.service));
  return wanted.filter((name) => !here.has(name) || silent.includes(name));
}
