"""How fast evaluation and training are, against the plain ways, with equal results: ``python -m benchmarks.speed``.

`measure` times ways in turns and counts their operations, `case` holds a model with pictures and questions and asks
them plainly, `evaluation` and `training` compare, `growth` shows what more work costs, `__main__` is the command.
"""
