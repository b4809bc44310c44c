import { problem, type Rule } from './problem.ts';

/** The services of the layer: accounts, configuration, processes and their bus. Pure. */

export const accounts: Rule = ({ storage, services }) => {
  if (storage?.closed) {
    const what = 'the accounts of this layer were lost, and nobody can log in';
    return [problem('accounts-lost', 'error', what, 'create a token with "terrace token create"')];
  }
  const declared = (storage?.accounts ?? []).map((complaint) =>
    problem('account-not-declared', 'warning', complaint, 'correct the configuration document'),
  );
  const isOpen = storage?.tokens === 0 && services.some(({ open }) => open);
  if (!isOpen) return declared;
  const what = 'the layer has no accounts: everyone who reaches it has full access';
  const remedy = 'create a token with "terrace token create", unless it serves this machine only';
  return [...declared, problem('layer-open', 'warning', what, remedy)];
};

export const configured: Rule = ({ bridge }) =>
  (bridge?.complaints ?? []).map((complaint) =>
    problem(
      'configuration-refused',
      'error',
      complaint,
      `correct ${bridge?.source}; the previous configuration stays in force`,
    ),
  );

export const session: Rule = ({ bridge }) =>
  bridge?.session && !bridge.session.connected
    ? [
        problem(
          'twin-disconnected',
          'warning',
          `${bridge.source} is not connected: ${bridge.session.detail ?? 'no reason is known'}`,
          'check the IoT Edge runtime; the last configuration stays in force',
          { since: bridge.session.since },
        ),
      ]
    : [];

export const silent: Rule = (status) =>
  status.silent.map((service) =>
    problem(
      'service-silent',
      'error',
      `${service} does not answer`,
      'see data/log/terrace.log; it is started again by itself',
      { subject: service },
    ),
  );

export const unreadable: Rule = ({ unreadable: entries = [] }) =>
  entries.map(({ bucket, key, reason }) =>
    problem(
      'state-unreadable',
      'warning',
      `the state ${bucket}.${key} can't be read: ${reason}`,
      'none is needed: its owner writes it again',
      { subject: `${bucket}.${key}` },
    ),
  );

export const bus: Rule = ({ natsServer }) =>
  natsServer?.advisories
    ? [
        problem(
          'nats-server-vulnerable',
          'warning',
          `nats-server ${natsServer.version} has known vulnerabilities: ${natsServer.advisories.map(({ id }) => id).join(', ')}`,
          natsServer.remedy ?? 'install a current version',
        ),
      ]
    : [];
