import { matchesPattern } from '#proto/oci/repository-pattern.ts';
import { syncRepositories } from '#proto/sync/behind.ts';
import { checkDataFolder } from './data/data-folder.ts';
import { checkDisk } from './data/disk.ts';
import { checkFileSystem } from './data/file-system.ts';
import { checkInstance } from './data/instance.ts';
import { checkPermissions } from './data/permissions.ts';
import { checkCertificate } from './layer/certificate.ts';
import { checkConfiguration } from './layer/configuration.ts';
import { checkConfiguredFiles } from './layer/configured-files.ts';
import { checkListen } from './layer/listen.ts';
import { checkNatsServer } from './layer/nats-server.ts';
import { checkServices, checkSync, PARENT_CHECKS } from './layer/services.ts';
import { checkClock } from './machine/clock.ts';
import { checkEnvironment } from './machine/environment.ts';
import { checkMemory } from './machine/memory.ts';
import { checkOpenFiles } from './machine/open-files.ts';
import { checkClientCertificate } from './parent/client-certificate.ts';
import { checkContent } from './parent/content.ts';
import { checkKind } from './parent/kind.ts';
import { checkLogin } from './parent/login.ts';
import { checkName } from './parent/name.ts';
import type { ParentFacts, ParentTarget } from './parent/parent-facts.ts';
import { checkProxy } from './parent/proxy.ts';
import { checkRegistry } from './parent/registry.ts';
import { checkRights } from './parent/rights.ts';
import { checkRoute } from './parent/route.ts';
import { checkSelection } from './parent/selection.ts';
import { checkTls } from './parent/tls.ts';
import type { Subject } from './subject/subject.ts';
import { type Check, haveFault, type Results, type Verdict } from './verdict/check.ts';

/** Max repositories of this layer that are read for one pattern. */
const MAX_REPOSITORIES = 200;

type ParentProbe = (
  parent: ParentTarget,
  facts: ParentFacts,
  signal: AbortSignal,
  subject: Subject,
  results: Results,
) => Promise<Verdict>;

/** A check of the parent, which a layer without one does not need. */
const ofParent =
  (probe: ParentProbe): Check<Subject>['run'] =>
  async (subject, signal, results) => {
    const { parent, facts, configuration } = subject;
    if (parent) return probe(parent, facts, signal, subject, results);
    return { unchecked: configuration ? 'the layer has no parent' : 'the configuration is not known' };
  };

/** Of this layer: whether a pattern of the parent's names matches one of its repositories. */
async function isHere({ bus, configuration }: Subject, pattern: string): Promise<boolean> {
  const selected = configuration?.repositories.find(({ name, from }) => (from ?? name) === pattern);
  if (!bus || !selected) return false;
  const { name } = selected;
  const prefix = name.endsWith('*') ? name.slice(0, -1) : undefined;
  const query = prefix === undefined ? { repository: name } : prefix === '' ? {} : { match: prefix };
  const { repositories } = await bus.call(syncRepositories, { ...query, limit: MAX_REPOSITORIES });
  return repositories.some((one) => matchesPattern([name], one.repository));
}

/** All checks, in the order of the report; what a check needs comes before it. */
export const checks: readonly Check<Subject>[] = [
  {
    name: 'environment',
    group: 'machine',
    description: 'version of Node, the user, the container, the compile cache',
    run: checkEnvironment,
  },
  {
    name: 'memory',
    group: 'machine',
    description: 'memory of the machine and of the container, swap',
    run: checkMemory,
  },
  {
    name: 'open-files',
    group: 'machine',
    description: 'limit of open files',
    run: checkOpenFiles,
  },
  {
    name: 'data-folder',
    group: 'data folder',
    description: 'the data folder exists, answers, and is writable',
    run: checkDataFolder,
  },
  {
    name: 'disk',
    group: 'data folder',
    description: 'free space and inodes, against the reserve and what is still to come',
    needs: ['data-folder'],
    run: checkDisk,
  },
  {
    name: 'file-system',
    group: 'data folder',
    description: 'sync, rename, links, exclusive creation, options of the mount, network file systems',
    needs: ['data-folder'],
    run: checkFileSystem,
  },
  {
    name: 'permissions',
    group: 'data folder',
    description: 'owner and mode of what matters in the data folder',
    needs: ['data-folder'],
    run: checkPermissions,
  },
  {
    name: 'instance',
    group: 'data folder',
    description: 'a second layer on the data folder, or a copy of it',
    needs: ['data-folder'],
    run: checkInstance,
  },
  {
    name: 'configuration',
    group: 'layer',
    description: 'the configuration is valid',
    run: checkConfiguration,
  },
  {
    name: 'files',
    group: 'layer',
    description: 'files that the configuration names: they exist, and secrets are secret',
    needs: ['configuration'],
    run: checkConfiguredFiles,
  },
  {
    name: 'nats-server',
    group: 'layer',
    description: 'program, version and known vulnerabilities of nats-server, size of its store',
    run: checkNatsServer,
  },
  {
    name: 'listen',
    group: 'layer',
    description: 'the address for clients is free, or the layer answers there',
    run: checkListen,
  },
  {
    name: 'certificate',
    group: 'layer',
    description: 'certificate and key for clients, and its dates',
    needs: ['configuration'],
    run: checkCertificate,
  },
  {
    name: 'services',
    group: 'layer',
    description: 'the services answer, have one version, and report no problem',
    after: ['instance'],
    run: checkServices,
  },
  {
    name: 'parent-proxy',
    group: 'parent',
    description: 'the proxy that the environment names for the parent, if one, permits it',
    run: ofParent(checkProxy),
  },
  {
    name: 'parent-name',
    group: 'parent',
    description: 'DNS: addresses of the parent, and how long they take',
    needs: ['parent-proxy'],
    run: ofParent(checkName),
  },
  {
    name: 'parent-route',
    group: 'parent',
    description: 'each address of the parent accepts a connection',
    needs: ['parent-name'],
    run: ofParent(checkRoute),
  },
  {
    name: 'clock',
    group: 'machine',
    description: 'the clock, against that of the parent',
    after: ['parent-route'],
    run: checkClock,
  },
  {
    name: 'parent-tls',
    group: 'parent',
    description: 'chain, names and dates of the certificate of the parent; a proxy that intercepts TLS',
    needs: ['parent-route'],
    after: ['clock'],
    run: ofParent((parent, facts, signal, _subject, results) =>
      checkTls(parent, facts, signal, haveFault(results, ['clock'])),
    ),
  },
  {
    name: 'client-certificate',
    group: 'parent',
    description: 'client certificate and key for the parent, and its dates',
    needs: ['configuration'],
    run: ofParent(checkClientCertificate),
  },
  {
    name: 'parent-registry',
    group: 'parent',
    description: 'a registry answers at the address',
    needs: ['parent-tls', 'client-certificate'],
    run: ofParent(checkRegistry),
  },
  {
    name: 'parent-login',
    group: 'parent',
    description: 'the parent accepts the login',
    needs: ['parent-registry'],
    run: ofParent(checkLogin),
  },
  {
    name: 'parent-rights',
    group: 'parent',
    description: 'the login may list, pull, and push if the layer is ReadWrite',
    needs: ['parent-login'],
    run: ofParent(checkRights),
  },
  {
    name: 'selection',
    group: 'parent',
    description: 'each pattern of the selection matches a repository of the parent',
    needs: ['parent-login'],
    after: ['parent-rights'],
    run: ofParent((parent, facts, signal, subject) =>
      checkSelection(parent, facts, signal, (pattern) => isHere(subject, pattern)),
    ),
  },
  {
    name: 'parent-content',
    group: 'parent',
    description: 'blobs can be read, also where the parent refers to another host, and by ranges',
    needs: ['parent-login'],
    after: ['parent-rights'],
    run: ofParent(checkContent),
  },
  {
    name: 'parent-kind',
    group: 'parent',
    description: 'which registry the parent is, and what that changes',
    needs: ['parent-login'],
    after: ['parent-rights'],
    run: ofParent(checkKind),
  },
  {
    name: 'sync',
    group: 'parent',
    description: 'state of the link, changes that are refused, content that is missing',
    after: PARENT_CHECKS,
    run: checkSync,
  },
];
