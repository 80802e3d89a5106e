"""`python -m negrefine_core`: the same as the command `negrefine`."""

from .cli import main

if __name__ == "__main__":
    main()
