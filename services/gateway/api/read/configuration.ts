import { ConfigurationAnswer } from '#proto/api/configuration.ts';
import { Fault } from '#proto/contract/fault.ts';
import { getConfiguration } from '#proto/document/field-report.ts';
import { bridgeStatus } from '#proto/status/status.ts';
import type { Gateway } from '../../routes/resource.ts';
import { type Operation, operation } from '../operation/operation.ts';

/** The configuration in force, as twin-bridge has it. */
export function configurationOperation({ bus }: Gateway): Operation {
  return operation({
    method: 'GET',
    path: '/configuration',
    needs: 'operate/read',
    summary: 'The configuration in force, with the source of each field.',
    answers: { 200: ConfigurationAnswer },
    handler: async (): Promise<ConfigurationAnswer> => {
      try {
        const [report, { pending }] = await Promise.all([
          bus.call(getConfiguration, {}, { patience: 1_000 }),
          bus.call(bridgeStatus, {}, { patience: 1_000 }),
        ]);
        return { ...report, ...(pending && { pending }), known: true };
      } catch (error) {
        if (!Fault.is(error, 'unavailable')) throw error;
        return { fields: [], complaints: [], known: false };
      }
    },
  });
}
