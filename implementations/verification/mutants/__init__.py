"""Are the tests of a module able to see its mistakes?  Plant one at a time and run its fast tests.

modules: which are counted.  edits: the mistakes that can be made of a syntax tree.  plan: what is to be planted in one
module.  run: each in a process of its own.  report: what came of it, in words and on disk.  recorded: whether what is
on disk still stands.  `python -m` this package is the command.
"""
