# Completion of the command taper, for bash (and zsh after bashcompinit). Nothing is listed here:
# the command itself says its commands, options and models, so what completes is what it takes.
_taper()
{
    local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]-} word=${COMP_WORDS[COMP_CWORD]} list
    COMPREPLY=()
    if [ "$COMP_CWORD" -le 1 ]; then
        list="$("$program" help 2>/dev/null | sed -n 's/^  taper \([a-z]*\) .*/\1/p') help"
    elif [ "${word#-}" != "$word" ]; then
        list="$("$program" "$command" --help=words 2>/dev/null | cut -f 1) --help"
    elif [ "$COMP_CWORD" -eq 2 ]; then
        case $command in
        train | sample | build | show | check | explain | bench)
            list=$("$program" train 2>/dev/null | sed -n 's/^  \([a-z0-9-]*\) .*/\1/p')
            ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "${list-}" -- "$word")
    [ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$word")
} && complete -o filenames -F _taper taper
