/**
 * Words that other tools use for what a command of `terrace` does, or for what clients do: people try them first. The
 * text follows `"WORD" is not a command: `; a command that it names is in quotes, and exists.
 */

const up = '"terrace up" starts a layer, and keeps it running';
const stop =
  'a layer runs until its process gets SIGTERM or Ctrl-C: stop "terrace up", or the service or container that runs it';
const status = '"terrace status" shows the services of a running layer, and what they do';
const gc = '"terrace gc" deletes content that nothing refers to';
const tokens = '"terrace token list" lists the accounts of clients';
const children = '"terrace child list" lists the layers below';
const scrub = '"terrace scrub" reads and hashes all content';
const repositories =
  '"terrace repositories" lists the repositories of the layer, and "terrace tags" the tags of one';
const show = '"terrace show" shows an image: platforms, layers, referrers, and where it came from';
const doctor = '"terrace doctor" examines a layer, and has the remedy of each fault';
const backup = '"terrace backup" backs up the layer while it runs';
const inventory = '"terrace inventory" lists the images with their origin, signers and SBOMs';
const rollback = '"terrace rollback" goes back to the metadata before an upgrade';
const check = '"terrace config check" finds all faults of a document';
const config = '"terrace config show" has the configuration with its sources';
const transfers = '"terrace transfers" shows what crosses the link now';
const pause = '"terrace pause" stops the use of the link to the parent';
const clients = 'container clients do this, such as docker or skopeo, with the address of the layer';
const above = '--parent of "terrace up" names the registry above, and "terrace sync" synchronizes now';

export const otherCommands: Record<string, string> = {
  start: up,
  run: up,
  serve: up,
  server: up,
  daemon: up,
  stop,
  down: stop,
  kill: stop,
  shutdown: stop,
  restart: `${stop}; then start it again`,
  ps: status,
  top: '"terrace status --watch" shows the status again and again',
  watch: '"terrace status --watch" shows the status again and again',
  info: status,
  services: status,
  history: '"terrace events" shows what happened',
  journal: '"terrace logs" prints the log of the layer',
  tail: '"terrace logs --follow" prints the log as it is written',
  mirror: above,
  replicate: above,
  refresh: '"terrace sync" synchronizes with the parent now',
  ls: repositories,
  list: repositories,
  images: repositories,
  catalog: repositories,
  repos: repositories,
  inspect: show,
  describe: show,
  get: show,
  image: show,
  manifest: show,
  search: repositories,
  diagnose: doctor,
  diag: doctor,
  troubleshoot: doctor,
  snapshot: backup,
  dump: backup,
  sbom: inventory,
  sboms: inventory,
  report: inventory,
  downgrade: rollback,
  undo: rollback,
  save: '"terrace export" writes what another layer lacks as files',
  load: '"terrace import" takes over the files of an export',
  check,
  validate: check,
  lint: check,
  settings: config,
  configuration: config,
  configure: config,
  schema: '"terrace config schema" prints the JSON Schema of documents',
  jobs: transfers,
  queue: transfers,
  progress: transfers,
  suspend: pause,
  freeze: pause,
  unpause: '"terrace resume" uses the link to the parent again',
  continue: '"terrace resume" uses the link to the parent again',
  prune: gc,
  clean: gc,
  cleanup: gc,
  vacuum: gc,
  fsck: scrub,
  verify: scrub,
  user: tokens,
  users: tokens,
  account: tokens,
  accounts: tokens,
  password: '"terrace token rotate" replaces a password',
  passwd: '"terrace token rotate" replaces a password',
  login:
    'clients log in with their own command, such as docker login; "terrace token create" makes the name and password',
  logout: 'clients log out with their own command, such as docker logout',
  roles: '"terrace scope list" lists the permissions that tokens share',
  layers: children,
  nodes: children,
  satellites: children,
  pull: clients,
  push: clients,
  copy: clients,
  rm: clients,
  rmi: clients,
  delete: clients,
};

/** Verbs after a noun, such as `terrace token rm`, and the verbs that nouns have here. */
export const otherVerbs: Record<string, string> = {
  ls: 'list',
  all: 'list',
  add: 'create',
  new: 'create',
  make: 'create',
  rm: 'delete',
  remove: 'delete',
  del: 'delete',
  destroy: 'delete',
  drop: 'delete',
  get: 'show',
  info: 'show',
  describe: 'show',
  inspect: 'show',
  view: 'show',
  print: 'show',
  edit: 'set',
  update: 'set',
  change: 'set',
  modify: 'set',
  revoke: 'disable',
  block: 'disable',
  unblock: 'enable',
  renew: 'rotate',
  regenerate: 'rotate',
  reset: 'rotate',
  password: 'rotate',
  validate: 'check',
  verify: 'check',
  lint: 'check',
  test: 'check',
};

/** Options of other tools, without the dashes, and the option that has the purpose here. */
export const otherOptions: Record<string, string> = {
  o: '--json',
  output: '--json',
  format: '--json',
  folder: '--data',
  dir: '--data',
  directory: '--data',
  d: '--data',
  port: '--listen',
  address: '--listen',
  bind: '--listen',
  host: '--listen',
  upstream: '--parent',
  remote: '--parent',
  n: '--tail',
  lines: '--tail',
  tail: '--lines',
  c: '--config',
  f: '--config',
};
