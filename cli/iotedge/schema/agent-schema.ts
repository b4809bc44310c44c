import { Type } from '#proto/contract/schema.ts';
import { fields, integer, named, oneOf, schemaVersion, text, withRemedy } from './remedies.ts';

/**
 * Desired properties of `$edgeAgent` by `schemaVersion`, from the published schemas of deployment manifests. Version
 * 1.0 ignores fields that it does not have; 1.1 rejects them.
 */
export const agentSchemas = { '1.0': agentSchema('1.0', true), '1.1': agentSchema('1.1', false) };

function agentSchema(version: string, open: boolean) {
  const env = named(
    '^[^+#$\\s.]+$',
    fields(
      {
        value: withRemedy(
          Type.Union([Type.String(), Type.Number(), Type.Boolean()]),
          'write a string, a number, true or false',
        ),
      },
      { open },
    ),
    'use no + # $ . or blank',
    'write an object of variables, such as {"NAME": {"value": "…"}}',
  );
  const settings = named(
    open ? '^.+$' : '^(?:image|createOptions[0-9]*|createoptions[0-9]*)$',
    open ? Type.Unknown() : text('write a string'),
    'the fields are image, createOptions, createOptions01 and so on',
    'write an object with the fields image and createOptions',
  );
  const common = {
    type: oneOf('docker'),
    settings,
    env: Type.Optional(env),
    imagePullPolicy: Type.Optional(oneOf('on-create', 'never')),
  };
  const started = {
    ...common,
    status: oneOf('running', 'stopped'),
    restartPolicy: oneOf('always', 'on-failure', 'on-unhealthy', 'never'),
    startupOrder: Type.Optional(integer(0, 4_294_967_295)),
  };
  const module = fields(
    { version: Type.Optional(text('write a string, such as "1.0"')), ...started },
    { open },
  );
  const credential = fields(
    {
      address: text('write the host of the registry, without blanks', '^\\S+$'),
      username: text('write a string'),
      password: text('write a string'),
    },
    { open },
  );
  const runtime = fields(
    {
      type: oneOf('docker'),
      settings: fields(
        {
          minDockerVersion: Type.Optional(text('write a string, such as "v1.25"')),
          loggingOptions: Type.Optional(text('write a string')),
          registryCredentials: Type.Optional(
            named(
              open ? '^.+$' : '^[^.$# ]+$',
              credential,
              'use no . $ # or blank',
              'write an object of logins, each with address, username and password',
            ),
          ),
        },
        { open },
      ),
    },
    { open },
  );
  return fields(
    {
      schemaVersion: schemaVersion(version),
      runtime,
      systemModules: fields({
        edgeAgent: fields(common, { open }),
        edgeHub: fields(started, { open }),
      }),
      modules: named(
        '^[a-zA-Z0-9_-]+$',
        module,
        'use letters, digits, _ and -',
        'write an object of modules by name, {} for none',
      ),
    },
    { open },
  );
}
