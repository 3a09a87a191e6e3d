"""`python -m faster_rcnn` is the command faster-rcnn."""
from faster_rcnn.program.main import script

if __name__ == "__main__":
    script()
