# Completions of cuelight for bash. The program finds the values; CUELIGHT_COMPLETE asks it for them.
_cuelight() {
    local IFS=$'\013'
    # Bash splits words at `=`, `:` and `@`, as in `--input target=dev`. What no blank separates is one word.
    local line=${COMP_LINE:0:COMP_POINT} words=() rest word joins i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        rest=${line#"${line%%[![:space:]]*}"}
        word=${COMP_WORDS[i]}
        joins=false
        if ((i > 0)) && [[ $rest == "$line" ]] && [[ $word =~ ^[=:@]+$ || ${COMP_WORDS[i - 1]} =~ ^[=:@]+$ ]]; then
            joins=true
        fi
        # The last word ends at the cursor.
        ((i < COMP_CWORD)) || word=$rest
        line=${rest#*"$word"}
        if $joins; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
    done
    word=${words[${#words[@]} - 1]}
    COMPREPLY=($(_CLAP_IFS="$IFS" _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) CUELIGHT_COMPLETE=bash \
        cuelight -- "${words[@]}"))
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} != *[=/:] ]]; then
        compopt +o nospace 2>/dev/null
    fi
    # Bash replaces only what follows the last place where it split the word.
    local kept=${word%"$2"}
    for i in "${!COMPREPLY[@]}"; do
        COMPREPLY[i]=${COMPREPLY[i]#"$kept"}
    done
}
if ((BASH_VERSINFO[0] > 4 || (BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4))); then
    complete -o nospace -o bashdefault -o nosort -F _cuelight cuelight
else
    complete -o nospace -o bashdefault -F _cuelight cuelight
fi
