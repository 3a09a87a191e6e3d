# What the download scripts of this folder share; sourced by them.
#
#   fetch ARCHIVE MD5 URL     puts data/ARCHIVE there and unpacks it beside
#
# An archive that is already in data/ and has the right sum is unpacked without a download: when the
# server is gone, put a copy from elsewhere there. $URL names another address.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "$(basename "$0"): error: $1" >&2
  exit 2
}

fetch() {
  local archive=$1 sum=$2 url=${URL:-$3}
  if [ -f "$archive" ] && [ "$(md5_of "$archive")" = "$sum" ]; then
    echo "Checksum is correct. No need to download."
  else
    echo "Downloading $url ..."
    download "$url" "$archive.part" ||
      fail "$url cannot be downloaded; put $archive (md5 $sum) into $PWD, or name another address: URL=..."
    [ "$(md5_of "$archive.part")" = "$sum" ] ||
      fail "$url gave a file with the md5 sum $(md5_of "$archive.part"), not $sum; see $PWD/$archive.part"
    mv "$archive.part" "$archive"
  fi
  echo "Unpacking..."
  tar -xzf "$archive" || fail "$PWD/$archive cannot be unpacked"
  echo "Done."
}

md5_of() {
  if command -v md5sum > /dev/null; then md5sum "$1" | cut -d ' ' -f 1; else md5 -q "$1"; fi
}

download() {
  if command -v curl > /dev/null; then curl -fsSL -o "$2" "$1"; else wget -nv -O "$2" "$1"; fi
}
