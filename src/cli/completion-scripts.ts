// What `molt completion` prints: for each shell a few lines that ask `molt __complete` what a word can be. So a script never grows
// old: a newer molt answers for its own commands. What molt names was written by an agent, so that a shell must never run it.

/** The shells that molt has a script for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** One of them. */
export type Shell = (typeof SHELLS)[number];

// A dollar sign before a brace, which a template would take for its own.
const D = '$';

const BASH = String.raw`# bash completion for molt. In ~/.bashrc:  source <(molt completion bash)
_molt() {
  # Bash splits words at = : and @ too; molt wants them as they were written.
  local line=${D}{COMP_LINE:0:COMP_POINT} index word
  local -a words=()
  for ((index = 0; index <= COMP_CWORD; index++)); do
    word=${D}{COMP_WORDS[index]}
    if ((index > 0)) && [[ $line != [[:space:]]* ]]; then
      words[${D}{#words[@]}-1]+=$word
    else
      words+=("$word")
    fi
    line=${D}{line#"${D}{line%%[![:space:]]*}"}
    line=${D}{line#"$word"}
  done
  local last=$((${D}{#words[@]} - 1)) current plain directive value quoted
  current=${D}{words[last]}
  plain=${D}{current//\\/}
  words[last]=$plain
  # What bash splits off the front of the word stays where it is.
  local kept=
  [[ $current == *[=:@]* ]] && kept=${D}{current%"${D}{current##*[=:@]}"}
  COMPREPLY=()
  {
    IFS= read -r directive
    while IFS=$'\t' read -r value _; do
      [[ $value == "$plain"* ]] || continue
      printf -v quoted %q "$value"
      # A name that would need quoting inside quotes is better written by hand.
      [[ $current == [\'\"]* && $quoted != "$value" ]] && continue
      COMPREPLY+=("${D}{quoted#"$kept"}")
    done
  } < <("${D}{words[0]}" __complete -- "${D}{words[@]:1}" 2>/dev/null)
  case $directive in
    files) compopt -o default ;;
    folders) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
  esac
  [[ ${D}{#COMPREPLY[@]} == 1 && ${D}{COMPREPLY[0]} == *[/:=] ]] && compopt -o nospace
  return 0
}
complete -F _molt molt moltghost
`;

const ZSH = String.raw`#compdef molt moltghost
# zsh completion for molt. In ~/.zshrc, after compinit:  source <(molt completion zsh)
_molt() {
  local -a lines values shown open_values open_shown before
  local line value directive
  before=("${D}{(@Q)words[2,CURRENT-1]}")
  lines=("${D}{(@f)$("${D}{(Q)words[1]}" __complete -- "${D}{before[@]}" "${D}{(Q)PREFIX}" 2>/dev/null)}")
  directive=${D}{lines[1]}
  case $directive in
    files) _files; return ;;
    folders) _files -/; return ;;
  esac
  for line in "${D}{(@)lines[2,-1]}"; do
    value=${D}{line%%$'\t'*}
    [[ -z $value ]] && continue
    line="$value${D}{${D}{line#*$'\t'}:+  -- ${D}{line#*$'\t'}}"
    if [[ $value == *[/:=] ]]; then
      open_values+=("$value"); open_shown+=("$line")
    else
      values+=("$value"); shown+=("$line")
    fi
  done
  (($#values)) && compadd -l -d shown -- "${D}{values[@]}"
  (($#open_values)) && compadd -l -S '' -d open_shown -- "${D}{open_values[@]}"
  (($#values || $#open_values))
}
if [[ ${D}{funcstack[1]-} == _molt ]]; then _molt "$@"; else compdef _molt molt moltghost; fi
`;

const FISH = String.raw`# fish completion for molt. In ~/.config/fish/config.fish:  molt completion fish | source
function __molt_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete -- $words[2..-1] "$current" 2>/dev/null)
    switch "$lines[1]"
        case files
            __fish_complete_path "$current"
        case folders
            __fish_complete_directories "$current"
        case '*'
            printf '%s\n' $lines[2..-1]
    end
end
complete -c molt -f -a '(__molt_complete)'
complete -c moltghost -f -a '(__molt_complete)'
`;

const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

/** Returns the completion script of a shell. */
export function completionScript(shell: Shell): string {
  return SCRIPTS[shell];
}
