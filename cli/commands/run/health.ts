import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type ServiceName, serviceNames } from '#proto/contract/users.ts';
import { connectOperator } from '../../connection/connect.ts';
import { unhealthyServices, unhealthyText } from '../../connection/service-health.ts';
import { dataOption } from '../../data/data-option.ts';
import { refusalOf } from '../../terminal/failure.ts';
import { Refusal } from '../../terminal/refusal.ts';

/**
 * The same check as the script `cli/health`, which container engines poll every few seconds and which needs no Node.
 * That script leaves to this command what it can't decide.
 */
export function addHealthCommand(program: Command): void {
  program
    .command('health')
    .description('exit with 0 if the services on this machine or in this container are healthy, else with 1')
    .addOption(dataOption())
    .addOption(new Option('--service <name>', 'check only this service').choices(serviceNames))
    .action(async ({ data, service }: { data: string; service?: ServiceName }) => {
      const unhealthy = await unhealthyServices(resolve(data));
      // If none is healthy, no layer may run at all: connecting then throws a Refusal.
      if (unhealthy.size === serviceNames.length) await mustRun(data);
      if (service) for (const name of serviceNames) if (name !== service) unhealthy.delete(name);
      if (unhealthy.size > 0) throw new Refusal(`not healthy: ${unhealthyText(unhealthy)}`);
    });
}

/** @throws Refusal with exit code 1: engines know no other one */
async function mustRun(data: string): Promise<void> {
  try {
    await (await connectOperator(data, 'terrace', { wait: false }))[Symbol.asyncDispose]();
  } catch (error) {
    const { message, code } = refusalOf(error);
    throw new Refusal(message, 1, code);
  }
}
