#compdef taper
# Completion of the command taper, for zsh. Nothing is listed here: the command itself says its
# commands, options and models, so what completes is what it takes.
_taper() {
    local -a list
    if (( CURRENT == 2 )); then
        list=(${(f)"$(taper help 2>/dev/null | sed -n 's/^  taper \([a-z]*\) *\(.*\)/\1:\2/p')"})
        _describe command list
    elif [[ $PREFIX == -* ]]; then
        list=(${(f)"$(taper ${words[2]} --help=words 2>/dev/null | awk -F '\t' '{ print $1 ":" $3 }')"})
        _describe option list
    else
        if (( CURRENT == 3 )) && [[ ${words[2]} == (train|sample|build|show|check|explain|bench) ]]; then
            list=(${(f)"$(taper train 2>/dev/null | sed -n 's/^  \([a-z0-9-]*\) *\(.*\)/\1:\2/p')"})
            _describe model list
        fi
        _files
    fi
}
_taper "$@"
