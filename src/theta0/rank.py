"""One of a run's processes, started by torchrun: python -m theta0.rank RUN_FOLDER"""

import sys
from pathlib import Path

from theta0 import ancestors

if __name__ == "__main__":
    ancestors.end_with_ancestors()  # before torch is imported, which takes seconds

    from theta0.run import main

    sys.exit(main(Path(sys.argv[1])))
