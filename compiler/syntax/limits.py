"""Size limits that reading, scanning and parsing enforce; each has its own message."""

MAX_FILE_BYTES = 1 << 20
MAX_TOKENS = 200_000
MAX_DECLARATIONS = 2_000
MAX_NAME_LENGTH = 64
MAX_LITERAL_DIGITS = 40
MAX_LITERAL_EXPONENT = 300
MAX_NESTING = 64
# Brackets count once, but each can hold several operators; this keeps recursive passes far from
# the interpreter's own limit.
MAX_TREE_DEPTH = 128
MAX_MATCH_ARMS = 256
MAX_ENUM_VALUES = 4_096
MAX_IMPORTS = 32
MAX_GRID_SIDE = 512  # of a map, which is read cell by cell
MAX_GRID_LENGTH = 3_200
# Reports of one file after which reading it stops: the rest would only be noise.
MAX_REPORTS = 100
