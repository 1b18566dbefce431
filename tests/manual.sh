#!/usr/bin/env bash
# taper(1) has every command and every option with what its --help says, and troff finds nothing
# wrong with it; completion in bash offers what the command takes.
#   bash tests/manual.sh [BUILD]
# shellcheck source=tests/script.bash
. "$(dirname "${BASH_SOURCE[0]}")/script.bash"

"$taper" help --man >"$work/taper.1" || fault "taper help --man fails"
cmp -s "$work/taper.1" "$build/taper.1" || fault "$build/taper.1 is not what taper help --man says"
mapfile -t commands < <("$taper" help | sed -n 's/^  taper \([a-z]*\) .*/\1/p')
[ ${#commands[@]} -gt 8 ] || fault "taper help lists ${#commands[@]} commands"
sed 's/\\fI//; s/\\fR//; s/\\-/-/g; s/\\e/\\/g; s/^\\&//' "$work/taper.1" >"$work/plain"
options=0
for command in "${commands[@]}"; do
    call=$("$taper" "$command" --help | head -n 1)
    grep -qxF -- ".SS $call" "$work/plain" || fault "taper.1 has no section $call"
    while IFS=$'\037' read -r name meta help; do
        options=$((options + 1))
        sed -n "/^\.SS taper $command /,/^\.S[SH] [^t]/p" "$work/plain" |
            grep -A 1 -xF -- ".B $name${meta:+ $meta}" | grep -qxF -- "${help:-a number}" ||
            fault "taper.1 lacks $command $name: $help"
        "$taper" "$command" --help | grep -qF -- "  $name" || fault "$command --help has no $name"
    done < <("$taper" "$command" --help=words | tr '\t' '\037')
done
[ $options -gt 100 ] || fault "$options options are not all of them"
if command -v groff >/dev/null; then
    groff -man -Tutf8 -ww -z "$work/taper.1" >"$work/said" 2>&1 || fault "groff fails"
    [ ! -s "$work/said" ] || fault "groff says: $(head -n 5 "$work/said")"
fi

# --- completion in bash, as the shell calls it ---------------------------------------------------------
completes() { # WORDS... gives one line a word that would be offered
    bash -c '
        source frontend/command/completion.bash
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _taper && printf "%s\n" "${COMPREPLY[@]}"' - "$taper" "$@"
}
[ "$(completes "" | sort | tr '\n' ' ')" = "$(printf '%s\n' "${commands[@]}" help | sort | tr '\n' ' ')" ] ||
    fault "commands: $(completes "" | tr '\n' ' ')"
[ "$(completes train --ep)" = --epochs ] || fault "taper train --ep: $(completes train --ep)"
[ "$(completes show mlp --sta)" = --stage ] || fault "taper show mlp --sta: $(completes show mlp --sta)"
[ "$(completes train lene)" = lenet ] || fault "taper train lene: $(completes train lene)"
[ "$(completes verify READM)" = README.md ] || fault "taper verify READM: $(completes verify READM)"

# --- and in zsh and fish, where they are: a line that is typed, up to TAB --------------------------------
same() { # SHELL TYPED COMPLETED, by the function that is named as the shell
    local -r got=$("$1" "$2")
    [ "$got" = "$3" ] || fault "$1: '$2' and TAB is '$got', not '$3'"
}
in_zsh() { # in a terminal of its own; a widget on ^O says what the line has become
    ZDOTDIR=$work/zsh timeout 30 zsh -f -c '
        zmodload zsh/zpty && zpty line zsh -i
        zpty -w -n line "$1"$'"'\t\x0f'"'
        while zpty -r line said; do [[ $said != *"became <"* ]] || break; done
        said=${said##*<}; print -r -- ${said%%>*}' - "$1"
}
in_fish() {
    timeout 30 fish --no-config -c '
        source frontend/command/completion.fish
        set -l found (complete -C $argv[1] | string replace -r "\t.*" "")
        test (count $found) -ne 1; or echo (string replace -r "\S*\$" "" $argv[1])"$found "' -- "$1"
}
mkdir "$work/zsh" "$work/path"
cp frontend/command/completion.zsh "$work/zsh/_taper"
cat >"$work/zsh/.zshrc" <<'RC'
fpath=($ZDOTDIR $fpath)
autoload -Uz compinit && compinit -D -u
become() { print -r -- "became <$BUFFER>"; exit }
zle -N become && bindkey "^O" become
RC
ln -s "$taper" "$work/path/taper"
PATH=$work/path:$PATH
for shell in zsh fish; do
    command -v $shell >/dev/null || { echo "$shell is not here: its completion was not tried"; continue; }
    $shell -n frontend/command/completion.$shell || fault "$shell cannot read its completion"
    same in_$shell "taper ver" "taper verify "
    same in_$shell "taper train --ep" "taper train --epochs "
    same in_$shell "taper train lene" "taper train lenet "
    same in_$shell "taper show mlp --sta" "taper show mlp --stage "
    same in_$shell "taper verify READM" "taper verify README.md "
done
finish
