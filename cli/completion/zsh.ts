import type { CommandSpec, OptionSpec, ValueKind } from './completion-spec.ts';

/** Completion for zsh, by its own functions. Pure. */
export function zshScript(specs: readonly CommandSpec[]): string {
  const functions = specs.map((spec) => functionOf(spec, specs));
  return `#compdef terrace
# zsh completion for terrace, written by: terrace completion zsh
# To use it: source <(terrace completion zsh), or write it to a file _terrace in a folder of $fpath

# Names that the running layer has: of its data folder, if the command line names one.
_terrace_names() {
  local -a data names
  local at=\${words_all[(I)--data]}
  (( at > 0 )) && data=(--data \${words_all[at+1]})
  names=(\${(f)"$(\${words_all[1]} complete $1 "$PREFIX" $data 2>/dev/null)"})
  compadd -a names
}

${functions.join('\n\n')}

_terrace() {
  local -a words_all=($words)
  _terrace_at
}

if [ "\${funcstack[1]}" = _terrace ]; then
  _terrace "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
  compdef _terrace terrace
fi`;
}

const functionName = (path: string): string => `_terrace_at${path && `_${path.replaceAll(/[ -]/g, '_')}`}`;

function functionOf(spec: CommandSpec, specs: readonly CommandSpec[]): string {
  const { path, commands, options, argument } = spec;
  const declared = options.flatMap(optionArguments).map((text) => `    ${text}`);
  if (commands.length === 0) {
    const positional = argument
      ? [`    ${quoted(`1:${plain(argument.name)}:${actionOf(argument.kind)}`)}`]
      : [];
    return `${functionName(path)}() {
  _arguments \\
${[...declared, ...positional].join(' \\\n')}
}`;
  }
  const listed = commands.map(
    ({ name, description }) => `        ${quoted(`${name}:${plain(description)}`)}`,
  );
  const cases = commands
    .map(({ name }) => `${path} ${name}`.trim())
    .filter((inner) => specs.some((one) => one.path === inner))
    .map((inner) => `        ${inner.split(' ').at(-1)}) ${functionName(inner)} ;;`);
  const also = argument ? [`      ${actionOf(argument.kind)}`] : [];
  return `${functionName(path)}() {
  local context curcontext=$curcontext state line
  typeset -A opt_args
  _arguments -C \\
${declared.join(' \\\n')} \\
    '1:command:->command' \\
    '*::argument:->argument'
  case $state in
    command)
      local -a commands=(
${listed.join('\n')}
      )
      _describe command commands
${also.join('\n')}
      ;;
    argument)
      case $line[1] in
${cases.join('\n')}
      esac
      ;;
  esac
}`;
}

/** `'(-f --follow)'{-f,--follow}'[keep printing]'`, `'*--pull[…]:*-*:pattern:…'` */
function optionArguments({ long, short, description, value }: OptionSpec): string[] {
  const text = `[${plain(description)}]`;
  const after = value
    ? `${value.isOptional ? '::' : value.isVariadic ? ':*-*:' : ':'}${plain(value.name)}:${actionOf(value.kind)}`
    : '';
  const repeated = value?.isVariadic ? '*' : '';
  if (!short) return [quoted(`${repeated}${long}${text}${after}`)];
  return [short, long].map((name) => quoted(`(${short} ${long})${name}${text}${after}`));
}

function actionOf(kind: ValueKind): string {
  if (kind === 'file') return '_files';
  if (kind === 'folder') return '_files -/';
  if (kind === 'any') return ' ';
  return 'words' in kind ? `(${kind.words.join(' ')})` : `{_terrace_names ${kind.names}}`;
}

/** Without what has a meaning in the arguments of these functions. */
const plain = (text: string): string =>
  text
    .replaceAll(/[[\]\\:]/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
