import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../run-program.ts';
import { made } from './made.ts';

const SUITE = 'bookworm';
/** Latest time of a file in a root filesystem, in s since 1970: images of a distribution are clamped to their date. */
const CLAMPED_TO = '1767225600';

/** What apt-get leaves in a root filesystem, and no image of a distribution has. */
const LEFTOVERS = ['var/lib/apt/lists/*', 'var/cache/apt/*.bin', 'var/cache/apt/archives/*.deb', 'var/log/*'];

/** The distribution as it was published, or with all updates since then. */
export type State = 'published' | 'updated';

/** Address of the mirror from which this machine gets a suite. @throws if it gets none from there */
function mirrorOf(suite: string): string {
  const targets = execFileSync('apt-get', ['indextargets', '--format', '$(RELEASE) $(SITE)']).toString();
  const line = targets.split('\n').find((target) => target.startsWith(`${suite} `));
  if (!line) throw new Error(`no source of ${suite}: add one to the sources.list of this machine`);
  return line.slice(suite.length + 1);
}

/** Lines of a sources.list. */
export const sourcesOf = (state: State): string[] => [
  `deb ${mirrorOf(SUITE)} ${SUITE} main`,
  ...(state === 'updated' ? [`deb ${mirrorOf(`${SUITE}-security`)} ${SUITE}-security main`] : []),
];

/** A package of the state: `apt-get` takes it from there, also where both are sources. */
export const packageOf = (name: string, state: State): string =>
  `${name}/${state === 'updated' ? `${SUITE}-security` : SUITE}`;

/** Of another suite, whose keys this machine may lack. */
const lineOf = (suite: string) => `deb [trusted=yes check-valid-until=no] ${mirrorOf(SUITE)} ${suite} main`;

/** A minimal root filesystem. @returns path of a tar */
export const rootfsTar = (folder: string, state: State): Promise<string> =>
  made(join(folder, `rootfs-${state}.tar`), (part) =>
    run(
      'mmdebstrap',
      [
        '--quiet',
        '--format=tar',
        '--variant=minbase',
        '--aptopt=Dir::Cache::pkgcache ""',
        '--aptopt=Dir::Cache::srcpkgcache ""',
        `--customize-hook=cd "$1" && rm -rf ${LEFTOVERS.join(' ')}`,
        SUITE,
        part,
        ...sourcesOf(state),
      ],
      { env: { ...process.env, SOURCE_DATE_EPOCH: CLAMPED_TO } },
    ),
  );

/** Files of packages and of those they depend on, which are not configured. @returns path of a folder */
export const packageFiles = (
  folder: string,
  name: string,
  packages: readonly string[],
  state: State,
): Promise<string> =>
  made(join(folder, `${name}-${state}`), async (part) => {
    await extract(part, SUITE, packages, sourcesOf(state));
  });

/** The same of another suite of Debian, such as `sid`. */
export const packageFilesOf = (folder: string, suite: string, packages: readonly string[]): Promise<string> =>
  made(join(folder, `${packages.join('-')}-${suite}`), async (part) => {
    await extract(part, suite, packages, [lineOf(suite)]);
  });

async function extract(into: string, suite: string, packages: readonly string[], sources: string[]) {
  const tar = `${into}.tar`;
  const names = `--include=${packages.join(',')}`;
  await run('mmdebstrap', [
    '--quiet',
    '--format=tar',
    '--variant=extract',
    '--aptopt=APT::Install-Recommends "false"',
    names,
    suite,
    tar,
    ...sources,
  ]);
  await mkdir(into, { recursive: true });
  await run('tar', ['-C', into, '--exclude=./dev', '-xf', tar]);
  await rm(tar);
}

/**
 * Files of packages alone, without those they depend on.
 * @param packages by suite
 * @returns path of a folder
 */
export const programFiles = (folder: string, packages: Record<string, string[]>): Promise<string> =>
  made(join(folder, 'programs'), async (part) => {
    await mkdir(part);
    for (const [suite, names] of Object.entries(packages)) {
      const state = join(folder, `apt-${suite}`);
      await mkdir(join(state, 'lists/partial'), { recursive: true });
      await writeFile(join(state, 'sources.list'), `${lineOf(suite)}\n`);
      const settings = {
        'Dir::State::lists': join(state, 'lists'),
        'Dir::Etc::sourcelist': join(state, 'sources.list'),
        'Dir::Etc::sourceparts': '/dev/null',
        'APT::Sandbox::User': 'root',
      };
      const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
      await run('apt-get', [...options, '-qq', 'update']);
      await run('apt-get', [...options, '-qq', 'download', ...names], { cwd: state });
      for (const file of await readdir(state))
        if (file.endsWith('.deb')) await run('dpkg-deb', ['-x', join(state, file), part]);
      await rm(state, { recursive: true });
    }
  });
