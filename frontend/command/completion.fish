# Completion of the command taper, for fish. Nothing is listed here: the command itself says its
# commands, options and models, so what completes is what it takes.
function __taper_options
    set -l words (commandline -opc)
    set -q words[2]; and taper $words[2] --help=words 2>/dev/null | awk -F '\t' '{ print $1 "\t" $3 }'
end
complete -c taper -n __fish_use_subcommand -f \
    -a "(taper help | string replace -rf '^  taper (\w+) +(.*)' '\$1\t\$2')"
complete -c taper -n 'string match -q -- "-*" (commandline -ct)' -f -a '(__taper_options)'
complete -c taper -n '__fish_seen_subcommand_from train sample build show check explain bench' \
    -a "(taper train | string replace -rf '^  ([a-z0-9-]+) +(.*)' '\$1\t\$2')"
