# shellcheck shell=bash
#
# Code that the stand-ins for docker, kind and kubectl share. Each records its call, and answers from a
# folder, FAKE, that holds the state:
#
#   calls           a line for each call
#   fails           patterns; a call that matches one of them fails
#   clusters/NAME   there is this cluster; it holds `true` if its node runs
#   deployed/NAME   the elector was deployed to it; it holds the annotation
#   cut/NAME        its pods are cut off from the gist; it holds the rule
#   applied/        what kubectl was given to apply, by the order of the calls
#   leader, next    the cluster that leads, and the one that does after a kill
#   killed          when that was, in milliseconds
#   lines           what the electors say then: cluster, milliseconds after the kill, text

called="${0##*/} $*"
printf '%s\n' "$called" >>"$FAKE/calls"

if [[ -f $FAKE/fails ]]; then
  while IFS= read -r pattern; do
    # shellcheck disable=SC2053  # it is a pattern
    if [[ $called == $pattern ]]; then
      printf 'the stub of %s has no luck\n' "${0##*/}" >&2
      exit 1
    fi
  done <"$FAKE/fails"
fi

unknown() {
  printf 'the stub of %s does not know: %s\n' "${0##*/}" "$called" >&2
  printf '%s\n' "$called" >>"$FAKE/unknown"
  exit 64
}

# In one piece: others wait for it.
kill_now() {
  date +%s%3N >"$FAKE/killed.new"
  mv "$FAKE/killed.new" "$FAKE/killed"
}

runs() { [[ $(cat "$FAKE/clusters/$1" 2>/dev/null) == true ]]; }
