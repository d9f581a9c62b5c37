# Sourced by .ci/run and .ci/check-sqlx: where PostgreSQL's server programs are, if anywhere.

postgres_programs() {
  local folder
  # A link on PATH may stand beside a few of the programs only, so follow it to its real folder.
  if command -v postgres >/dev/null; then
    folder=$(dirname "$(readlink -f "$(command -v postgres)")")
    if [ -x "$folder/initdb" ]; then echo "$folder"; return; fi
  fi
  for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); do
    if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then echo "$folder"; return; fi
  done
  return 1
}
