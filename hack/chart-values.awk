# Writes the values of a values.yaml as a Markdown table. A value's description is the comment above it. If a value
# with nested values has none that is described, it is one row.
#
# usage: awk -f chart-values.awk values.yaml

function path(depth,    joined, i) {
  for (i = 0; i <= depth; i++) joined = joined (i ? "." : "") keys[i]
  return joined
}

function finish() {
  if (name == "") return
  if (default_value == "" && nested != "") default_value = "{" nested "}"
  if (description != "" && default_value != "") print "| `" name "` | `" default_value "` | " description " |"
  else if (default_value != "") { print "values.yaml: " name " has no description" >"/dev/stderr"; failed = 1 }
  name = ""
}

BEGIN { print "| value | default | |\n|---|---|---|" }

/^ *$/ { comment = ""; next }

/^ *# / {
  sub(/^ *# /, "")
  comment = comment (comment == "" ? "" : " ") $0
  next
}

{
  depth = match($0, /[^ ]/) - 1
  depth /= 2
  text = substr($0, depth * 2 + 1)
  colon = index(text, ":")
  value = substr(text, colon + 2)
  # Part of a value that is one row.
  if (name != "" && comment == "" && depth > name_depth && description != "") {
    nested = nested (nested == "" ? "" : ", ") text
    next
  }
  # The former line began a group.
  if (name != "" && depth > name_depth && default_value == "") name = ""
  finish()
  keys[depth] = substr(text, 1, colon - 1)
  name = path(depth)
  name_depth = depth
  default_value = value
  description = comment
  gsub(/\|/, "\\|", description)
  nested = comment = ""
}

END { finish(); exit failed }
