"""`python -m engine` is `dropwave`: how `up` starts the roles, whatever is on the PATH."""

from engine.cli import main

if __name__ == "__main__":
    main()
