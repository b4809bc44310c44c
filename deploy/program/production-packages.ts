import { ARCHITECTURES, type Architecture } from './needed-files.ts';

type LockedPackage = {
  version?: string;
  license?: string;
  dev?: boolean;
  devOptional?: boolean;
  optional?: boolean;
  link?: boolean;
};
export type LockFile = { packages: Record<string, LockedPackage> };

/** A package that Terrace runs with: its folder below the project, such as `node_modules/@azure/identity`. */
export type ProductionPackage = { folder: string; name: string; version: string; license: string };

/** The packages that a running Terrace is made of, but for Node, by their folders. Pure. */
export function productionPackages({ packages }: LockFile): ProductionPackage[] {
  return Object.entries(packages)
    .filter(
      ([folder, { dev, devOptional, optional, link }]) => folder && !(dev || devOptional || optional || link),
    )
    .map(([folder, { version = '', license = 'UNKNOWN' }]) => ({
      folder,
      name: nameOf(folder),
      version,
      license,
    }))
    .sort((a, b) => (a.folder < b.folder ? -1 : 1));
}

const nameOf = (folder: string): string =>
  folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** The package that has the program Node. Pure. @throws Error if the project has none for it */
export function nodePackage({ packages }: LockFile, architecture: Architecture): ProductionPackage {
  const name = `node-linux-${ARCHITECTURES[architecture]}`;
  const folder = `node_modules/${name}`;
  const locked = packages[folder];
  if (!locked?.version) throw new Error(`package-lock.json has no ${name}: add it to optionalDependencies`);
  return { folder, name, version: locked.version, license: locked.license ?? 'MIT' };
}
