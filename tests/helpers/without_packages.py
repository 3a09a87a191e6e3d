"""without_packages.py MODULE,... VERB ...: faster-rcnn as if these modules were not there."""
import importlib.machinery
import sys


class Without(importlib.machinery.PathFinder):
    """Finds everything but the modules that are left out."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] in LEFT_OUT:
            return None
        return super().find_spec(fullname, path, target)


if __name__ == "__main__":
    LEFT_OUT = set(sys.argv[1].split(","))
    sys.meta_path[:] = [Without if finder is importlib.machinery.PathFinder else finder
                        for finder in sys.meta_path]
    from faster_rcnn.program.main import script
    script(sys.argv[2:])
