# What the download scripts of this folder share; sourced by them.
#
#   get FILE URL     puts FILE into this folder, unless it is there
#
# Where a server is gone, put a copy of the file from elsewhere there.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

get() {
  local file=$1 url=$2
  if [ -f "$file" ]; then
    echo "$PWD/$file is there."
    return
  fi
  echo "Downloading $url ..."
  mkdir -p "$(dirname "$file")"
  if command -v curl > /dev/null; then curl -fsSL -o "$file.part" "$url"
  else wget -nv -O "$file.part" "$url"; fi || {
    rm -f "$file.part"
    echo "$(basename "$0"): error: $url cannot be downloaded; put $file into $PWD" >&2
    exit 2
  }
  mv "$file.part" "$file"
}

get_voc2007() {
  get pva9.1/PVA9.1_ImgNet_COCO_VOC0712.caffemodel \
    "https://www.dropbox.com/s/sq1kujjil5qg5bw/PVA9.1_ImgNet_COCO_VOC0712.caffemodel?dl=1"
}

get_voc_best() {
  get pva9.1/PVA9.1_ImgNet_COCO_VOC0712plus.caffemodel \
    "https://www.dropbox.com/s/m65ioxcguevsacc/PVA9.1_ImgNet_COCO_VOC0712plus.caffemodel?dl=1"
}
