# fish completion for @NAME@
function __@NAME@_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete -- $words[2..-1] "$current" 2>/dev/null)
    if contains -- :files $lines
        __fish_complete_path "$current"
    else
        printf '%s\n' $lines
    end
end
complete -c @NAME@ -f -a '(__@NAME@_complete)'
