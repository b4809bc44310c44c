import type { CommandSpec, OptionSpec, ValueKind } from './completion-spec.ts';

/** Completion for fish 3 and later. Pure. */
export function fishScript(specs: readonly CommandSpec[]): string {
  const paths = specs.filter(({ path }) => path).map(({ path }) => quoted(path));
  return `# fish completion for terrace, written by: terrace completion fish
# To use it: terrace completion fish | source

# Whether the command line has come to this command.
function __terrace_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l path
    for word in $words
        if contains -- (string trim -- "$path $word") $__terrace_paths
            set path (string trim -- "$path $word")
        end
    end
    test "$path" = "$argv[1]"
end

# Whether a further value of this option of a command may follow.
function __terrace_in
    __terrace_at $argv[1]; or return 1
    set -l options (string match -- '-*' (commandline -opc))
    contains -- "$options[-1]" $argv[2..]
end

# Names that the running layer has: of its data folder, if the command line names one.
function __terrace_names
    set -l words (commandline -opc)
    set -l data
    if set -l at (contains -i -- --data $words)
        set data --data $words[(math $at + 1)]
    end
    $words[1] complete $argv[1] (commandline -ct) $data 2>/dev/null
end

set -g __terrace_paths ${paths.join(' ')}

complete -c terrace -f
${specs.flatMap(linesOf).join('\n')}`;
}

function linesOf({ path, commands, options, argument }: CommandSpec): string[] {
  const at = `'${path}'`;
  const start = `complete -c terrace -n ${quoted(`__terrace_at ${at}`)}`;
  const further = options.flatMap(({ long, short, value }) => {
    const text = value?.isVariadic ? valueText(value.kind) : '';
    const names = [long, ...(short ? [short] : [])].join(' ');
    return text ? [`complete -c terrace -n ${quoted(`__terrace_in ${at} ${names}`)} ${text}`] : [];
  });
  return [
    ...commands.map(({ name, description }) => `${start} -a ${name} -d ${quoted(description)}`),
    ...options.map((option) => `${start} ${optionText(option)}`),
    ...further,
    ...(argument ? [`${start} ${valueText(argument.kind)}`.trimEnd()] : []),
  ].filter((line) => line !== start);
}

function optionText({ long, short, description, value }: OptionSpec): string {
  return [
    ...(short ? [`-s ${short.slice(1)}`] : []),
    `-l ${long.slice(2)}`,
    `-d ${quoted(description)}`,
    ...(value ? [value.isOptional ? '' : '-r', valueText(value.kind)] : []),
  ]
    .filter(Boolean)
    .join(' ');
}

function valueText(kind: ValueKind): string {
  if (kind === 'file') return '-F';
  if (kind === 'folder') return "-f -a '(__fish_complete_directories)'";
  if (kind === 'any') return '-f';
  return `-f -a ${quoted('words' in kind ? kind.words.join(' ') : `(__terrace_names ${kind.names})`)}`;
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
