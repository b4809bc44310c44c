import { TokenName } from '#proto/accounts/accounts.ts';
import { ChildName } from '#proto/accounts/children.ts';
import { passwordComplaint, passwordIn } from '#proto/accounts/password-hash.ts';
import { isRepositoryPattern } from '#proto/oci/repository-pattern.ts';
import { imageCause } from './check/modules.ts';
import type { LayerKind } from './iotedge-manifest.ts';

/** Validation of the options of `terrace iotedge manifest`: all complaints at once. Pure, apart from `readFile`. */

/** As parsed by commander. */
export type GivenOptions = {
  image?: string;
  parent?: string;
  name: string;
  token?: string;
  passwordFile?: string;
  port: string;
  folder: string;
  user: string;
  edge: string;
  repository: string[];
  mode: string;
  challenge: string;
  child?: string[];
  catalog?: boolean;
  desired: boolean;
};

/** Passwords that the options name. A child without one gets a placeholder. */
export type Passwords = { own?: string; children: { name: string; password?: string }[] };

export type OptionsInput = {
  layer: LayerKind;
  given: GivenOptions;
  /** Whether the option is on the command line. */
  isGiven: (option: keyof GivenOptions) => boolean;
  /** @returns the text, or why it can't be read */
  readFile: (path: string) => { text: string } | { cause: string };
};

export const modes = ['ReadOnly', 'ReadWrite'];
export const challenges = ['Basic', 'Bearer'];

/** Ports that edgeHub binds; 443 is left to the proxy. */
const HUB_PORTS = [5671, 8883];
const TAG = /^\w[\w.-]{0,127}$/;
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::([1-9]\d{0,4}))?$/;
const DATA_ENDPOINT = /\.data\.azurecr\.[a-z]+$/i;
const LAYER_NAME = 'use lower-case letters, digits and - between them, 63 characters at most';

export function optionComplaints({ layer, given, isGiven, readFile }: OptionsInput): {
  complaints: string[];
  passwords: Passwords;
} {
  const { image, name, token, port, folder, user, edge, repository, mode, challenge } = given;
  const complaints = unusedComplaints(layer, given, isGiven);
  const complain = (option: string, value: string, remedy: string) =>
    complaints.push(`--${option} ${JSON.stringify(value)} is not valid: ${remedy}`);

  if (!isPort(port)) complain('port', port, 'write a port from 1 to 65535, such as 8000');
  else if (HUB_PORTS.includes(Number(port)))
    complain('port', port, 'edgeHub uses it: choose another, such as 8000');
  if (layer === 'top') for (const complaint of parentComplaints(given.parent)) complaints.push(complaint);
  if (!matches(ChildName.pattern, name)) complain('name', name, LAYER_NAME);
  if (token !== undefined && !matches(TokenName.pattern, token))
    complain('token', token, 'use letters, digits and . _ - between them, 64 characters at most');
  const cause = image === undefined ? undefined : imageCause(image);
  if (cause) complaints.push(`--image ${cause}`);
  else if (layer === 'top' && image?.includes('$upstream'))
    complain('image', image, 'there is no layer above the top: name the registry');
  else if (image?.startsWith('$upstream') && !image.startsWith(`$upstream:${port}/`))
    complain(
      'image',
      image,
      `the proxies of all layers have the port ${port}: start it with $upstream:${port}/`,
    );
  if (!/^\/[^:\p{Cc}]*$/u.test(folder) || folder.length > 1_024)
    complain('folder', folder, 'write an absolute path of the device, without ":", 1,024 characters at most');
  if (!/^\d+:\d+$/.test(user) || user.split(':').some((id) => Number(id) >= 2 ** 32 - 1))
    complain('user', user, 'write uid:gid as numbers, such as 10001:10001');
  if (!TAG.test(edge)) complain('edge', edge, "write a tag of IoT Edge's images, such as 1.6");
  if (!modes.includes(mode)) complain('mode', mode, `write ${modes.join(' or ')}`);
  if (!challenges.includes(challenge)) complain('challenge', challenge, `write ${challenges.join(' or ')}`);
  for (const pattern of repository)
    if (!isSelection(pattern))
      complain(
        'repository',
        pattern,
        'write a repository name, prefix/* or *; or NAME=AS for another name in the layer',
      );

  const passwords = readPasswords(given, readFile, complaints);
  return { complaints, passwords };
}

/** A pattern, or two. Whether two of them fit, the configuration says. */
function isSelection(text: string): boolean {
  const patterns = text.split('=');
  return patterns.length <= 2 && patterns.every(isRepositoryPattern);
}

const isPort = (text: string) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535;

const matches = (pattern: string | undefined, text: string) => new RegExp(pattern ?? '').test(text);

/** Options that change nothing in this manifest. */
function unusedComplaints(
  layer: LayerKind,
  { desired }: GivenOptions,
  isGiven: OptionsInput['isGiven'],
): string[] {
  const ofTwin: (keyof GivenOptions)[] = ['mode', 'repository', 'challenge', 'child'];
  const unused: (keyof GivenOptions)[] = [
    ...(layer === 'top' ? [] : (['parent', 'catalog'] as const)),
    ...(layer === 'pass-through' ? ([...ofTwin, 'image', 'user', 'desired'] as const) : []),
  ];
  return [
    ...unused
      .filter(isGiven)
      .map(
        (option) =>
          `--${option === 'desired' ? 'no-desired' : option} has no effect in a ${layer} layer: leave it out`,
      ),
    ...(desired || layer === 'pass-through'
      ? []
      : ofTwin
          .filter(isGiven)
          .map((option) => `--${option} has no effect with --no-desired: leave one of them out`)),
  ];
}

function parentComplaints(parent: string | undefined): string[] {
  if (!parent) return ['--parent is missing: name the registry above, such as contoso.azurecr.io'];
  const not = (remedy: string) => [`--parent ${JSON.stringify(parent)} is not valid: ${remedy}`];
  if (/^[a-z]+:\/\//i.test(parent)) return not('write host or host:port, without https://');
  const port = HOST.exec(parent)?.[1];
  if (!HOST.test(parent) || Number(port ?? 1) > 65_535)
    return not('write host or host:port, without path and credentials, such as contoso.azurecr.io');
  return DATA_ENDPOINT.test(parent)
    ? not('it is a data endpoint: write the login server, such as contoso.azurecr.io')
    : [];
}

/** Also checks what a connection string can't contain. No complaint contains a password. */
function readPasswords(
  { passwordFile, child = [], name: own }: GivenOptions,
  readFile: OptionsInput['readFile'],
  complaints: string[],
): Passwords {
  const read = (option: string, path: string): string | undefined => {
    const file = readFile(path);
    if ('text' in file) return passwordIn(file.text);
    complaints.push(`${option} ${JSON.stringify(path)} can't be read (${file.cause}): name another file`);
    return undefined;
  };
  const password = passwordFile === undefined ? undefined : read('--password-file', passwordFile);
  const cause = password === undefined ? undefined : connectionCause(password);
  if (cause) complaints.push(`--password-file: the password ${cause}`);

  const names = new Set<string>();
  const children = child.map((text) => {
    const [, name = '', path] = /^([^=]*)(?:=(.*))?$/s.exec(text) ?? [];
    if (!matches(ChildName.pattern, name))
      complaints.push(`--child ${JSON.stringify(name)} is not valid: write NAME or NAME=FILE; ${LAYER_NAME}`);
    else if (names.has(name)) complaints.push(`--child ${name} is given twice: leave one of them out`);
    else if (name === own) complaints.push(`--child ${name} is the name of the layer itself: choose another`);
    names.add(name);
    if (path === undefined) return { name };
    const its = read(`--child ${name}:`, path);
    const why = its === undefined ? undefined : (passwordComplaint(its) ?? connectionCause(its));
    if (why) complaints.push(`--child ${name}: the password ${why}`);
    return { name, ...(its !== undefined && { password: its }) };
  });
  return { ...(password !== undefined && { own: password }), children };
}

/** Why a connection string can't contain this password. */
function connectionCause(password: string): string | undefined {
  if (password === '') return 'is empty: write the password of the sync token to the file';
  if (/\p{Cc}/u.test(password))
    return 'has more than one line, or a control character: write only the password';
  if (password.includes(';')) return 'has a ";", which ends a field of a connection string: generate another';
  if (password.trim() !== password)
    return 'begins or ends with a blank, which a connection string loses: generate another';
  return password.length > 1_024 ? 'has more than 1024 characters: generate another' : undefined;
}
