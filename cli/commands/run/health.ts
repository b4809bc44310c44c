import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type ServiceName, serviceNames } from '#proto/contract/users.ts';
import { connectOperator } from '../../connection/connect.ts';
import { type Unhealthy, unhealthyServices, unhealthyText } from '../../connection/service-health.ts';
import { dataOption } from '../../data/data-option.ts';
import { refusalOf } from '../../terminal/failure.ts';
import { Refusal } from '../../terminal/refusal.ts';
import { printJson } from '../../terminal/terminal.ts';

type Options = { data: string; service?: ServiceName; json?: boolean };

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
    .option('--json', 'as JSON')
    .action(async ({ data, service, json }: Options) => {
      const unhealthy = await unhealthyServices(resolve(data));
      // If none is healthy, no layer may run at all: connecting then throws a Refusal.
      if (unhealthy.size === serviceNames.length) await mustRun(data);
      if (service) for (const name of serviceNames) if (name !== service) unhealthy.delete(name);
      if (json) {
        const services = (service ? [service] : serviceNames).map((name) => serviceOf(name, unhealthy));
        printJson(JSON.stringify({ healthy: unhealthy.size === 0, services }, null, 2));
        if (unhealthy.size > 0) process.exitCode = 1;
        return;
      }
      if (unhealthy.size > 0) throw new Refusal(`not healthy: ${unhealthyText(unhealthy)}`);
    });
}

const serviceOf = (service: ServiceName, unhealthy: Unhealthy) => {
  const reason = unhealthy.get(service);
  return { service, healthy: reason === undefined, ...(reason && { reason }) };
};

/** @throws Refusal with exit code 1: engines know no other one */
async function mustRun(data: string): Promise<void> {
  try {
    await (await connectOperator(data, 'terrace', { wait: false }))[Symbol.asyncDispose]();
  } catch (error) {
    const { message, code } = refusalOf(error);
    throw new Refusal(message, 1, code);
  }
}
