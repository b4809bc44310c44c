import type { CommandSpec, OptionSpec, ValueKind } from './completion-spec.ts';

/** Completion for bash 4 and later, with or without the package bash-completion. Pure. */
export function bashScript(specs: readonly CommandSpec[]): string {
  const paths = specs.filter(({ path }) => path).map(({ path }) => `'${path}'`);
  const words = specs.map(
    ({ path, commands }) => `    '${path}') words='${commands.map(({ name }) => name).join(' ')}' ;;`,
  );
  const options = specs.map(
    (spec) => `    '${spec.path}') options='${spec.options.flatMap(namesOf).join(' ')}' ;;`,
  );
  const values = specs.flatMap(({ path, options: own }) =>
    own.flatMap((option) => {
      const { value } = option;
      if (!value) return [];
      const names = namesOf(option).map((name) => `'${path} ${name}'`);
      const manner = value.isVariadic ? 'many' : 'one';
      return [`    ${names.join('|')}) manner=${manner} kind='${kindOf(value.kind)}' ;;`];
    }),
  );
  const parameters = specs.flatMap(({ path, argument }) =>
    argument ? [`    '${path}') kind='${kindOf(argument.kind)}' ;;`] : [],
  );
  return `# bash completion for terrace, written by: terrace completion bash
# To use it: source <(terrace completion bash)

_terrace_is_command() {
  case "$1" in
    ${paths.join('|')}) return 0 ;;
  esac
  return 1
}

# The words that may follow a command.
_terrace_words() {
  words=
  case "$1" in
${words.join('\n')}
  esac
}

_terrace_options() {
  options=
  case "$1" in
${options.join('\n')}
  esac
}

# How many values an option takes, and of which kind.
_terrace_value() {
  manner= kind=
  case "$1" in
${values.join('\n')}
  esac
}

_terrace_argument() {
  kind=
  case "$1" in
${parameters.join('\n')}
  esac
}

_terrace_complete() {
  local cur=$2 kind=$1
  case "$kind" in
    file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    folder) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    words:*) mapfile -t COMPREPLY < <(compgen -W "\${kind#words:}" -- "$cur") ;;
    names:*)
      local names
      names=$("\${COMP_WORDS[0]}" complete "\${kind#names:}" "$cur" "\${data[@]}" 2>/dev/null)
      mapfile -t COMPREPLY < <(compgen -W "$names" -- "$cur")
      ;;
  esac
}

_terrace() {
  local cur=\${COMP_WORDS[COMP_CWORD]} path= option= word words options manner kind i
  local -a data=()
  COMPREPLY=()
  # The shell splits --mode=ReadOnly at the equals sign.
  [[ $cur == = ]] && cur=
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == = ]]; then
      continue
    elif [[ $word == -* ]]; then
      _terrace_value "$path $word"
      option=\${manner:+$word}
      [[ $word == --data ]] && data=(--data)
    elif [[ -n $option ]]; then
      [[ $option == --data ]] && data=(--data "$word")
      _terrace_value "$path $option"
      [[ $manner == one ]] && option=
    elif _terrace_is_command "\${path:+$path }$word"; then
      path=\${path:+$path }$word
    fi
  done
  [[ \${#data[@]} == 1 ]] && data=()
  if [[ $cur == -* ]]; then
    _terrace_options "$path"
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    return
  fi
  if [[ -n $option ]]; then
    _terrace_value "$path $option"
    _terrace_complete "$kind" "$cur"
    return
  fi
  _terrace_words "$path"
  _terrace_argument "$path"
  if [[ -n $kind ]]; then _terrace_complete "$kind" "$cur"; fi
  if [[ -n $words ]]; then
    local -a more
    mapfile -t more < <(compgen -W "$words" -- "$cur")
    COMPREPLY+=("\${more[@]}")
  fi
}

complete -F _terrace terrace`;
}

const namesOf = ({ long, short }: OptionSpec): string[] => [long, ...(short ? [short] : [])];

function kindOf(kind: ValueKind): string {
  if (typeof kind === 'string') return kind;
  return 'words' in kind ? `words:${kind.words.join(' ')}` : `names:${kind.names}`;
}
