"""The command `fmx` as a module: python -m fmx clip.mp4."""

from fmx.command import main

if __name__ == '__main__':
  main()
