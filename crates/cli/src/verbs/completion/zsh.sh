#compdef @NAME@
_@NAME@() {
    local line tab=$'\t'
    local -a candidates
    for line in "${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ $line == :files ]]; then
            _files
            return
        fi
        [[ -z $line ]] && continue
        if [[ $line == *$tab* ]]; then
            candidates+=("${${line%%$tab*}//:/\\:}:${line#*$tab}")
        else
            candidates+=("${line//:/\\:}")
        fi
    done
    _describe -t values '@NAME@' candidates
}
if [[ $funcstack[1] == _@NAME@ ]]; then
    _@NAME@ "$@"
else
    compdef _@NAME@ @NAME@
fi
