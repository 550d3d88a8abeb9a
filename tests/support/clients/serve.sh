# Sourced by the stand-ins. They run in SHOP/target/.staging/…, and SHOP/served holds what the registry has.
# serve NAME: leaves NAME.1, NAME.2 … at the first, second … call, or else NAME.good.
SHOP=${PWD%%/target/*}
serve() {
  echo "$1" >> "$SHOP/calls"
  nth=$(grep -c "^$1\$" "$SHOP/calls")
  for file in "$SHOP/served/$1.$nth" "$SHOP/served/$1.good"; do
    [ -e "$file" ] && { cp "$file" archive; break; }
  done
  [ -e archive ] || { echo "ERROR: no network" >&2; exit 1; }
  [ -e "$SHOP/served/$1.$nth.dies" ] && kill -9 $$
  exit 0
}
