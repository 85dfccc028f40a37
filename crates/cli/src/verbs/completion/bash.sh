# bash completion for @NAME@
__@NAME@_complete() {
    local line="${COMP_LINE:0:COMP_POINT}" current kept candidate
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[${#words[@]} - 1]}"
    # What stands before the last : or = is a word of its own to bash.
    kept=""
    [[ $current == *[:=]* ]] && kept="${current%"${current##*[:=]}"}"
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        if [[ $candidate == :files ]]; then
            compopt -o default 2>/dev/null
            COMPREPLY=()
            return
        fi
        [[ $candidate == "$current"* ]] && COMPREPLY+=("${candidate#"$kept"}")
    done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F __@NAME@_complete @NAME@
