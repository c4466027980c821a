/** What shells must run so that they ask us. Each asks the command itself, which knows its words. */
const ASK = '__complete';

const bash = `_pgherd() {
  local IFS=$'\\n'
  COMPREPLY=($("\${COMP_WORDS[0]}" ${ASK} -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _pgherd pgherd kubectl-pgherd`;

const zsh = `#compdef pgherd kubectl-pgherd
_pgherd() {
  local -a found
  found=("\${(@f)$("\${words[1]}" ${ASK} -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found" ]]; then compadd -- "\${found[@]}"; else _files; fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _pgherd pgherd kubectl-pgherd`;

const fish = `function __pgherd_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] ${ASK} -- $words[2..-1] 2>/dev/null
end
complete -c pgherd -f -a '(__pgherd_complete)'
complete -c kubectl-pgherd -f -a '(__pgherd_complete)'`;

/** kubectl asks a program \`kubectl_complete-pgherd\` for words after \`kubectl pgherd\`. */
const kubectl = `#!/bin/sh
exec kubectl-pgherd ${ASK} -- "$@"`;

export const completionScripts = { bash, zsh, fish, kubectl };
