"""Lava Processes and their CPU models.

In a directory of their own and without dataclasses, because Lava's compiler executes every module it finds beside a
Process, under its bare file name, in search of models (``lava.magma.compiler.compiler_graphs._find_proc_models``).
"""
