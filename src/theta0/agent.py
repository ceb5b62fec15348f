"""torchrun, ending with the program that started it: python -m theta0.agent ARGUMENTS"""

import os

from theta0 import ancestors

if __name__ == "__main__":
    ancestors.end_with_ancestors(in_order=False)  # there is nothing of its own to put in order
    os.environ.update(ancestors.named())

    from torch.distributed.run import main

    main()
