"""``python -m tests.kit.small_server CONSTANTS [ARGUMENT ...]``: ``decide serve`` with other constants, which are JSON. There is
no other way to change them.
"""

import sys

import msgspec

from app.commands.serve import main
from app.constants import Constants

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], msgspec.json.decode(sys.argv[1], type=Constants, strict=False)))
