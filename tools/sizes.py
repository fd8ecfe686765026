"""This file prints modules and functions past the sizes that this project aims at, and fails past the hard bounds."""

import ast
import statistics
import sys
from pathlib import Path

FOLDERS = ("libs", "services", "deploy", "bench", "tools")
MODULE_AIM, MODULE_BOUND = 300, 560
FUNCTION_AIM, FUNCTION_BOUND = 45, 90


def main() -> int:
    lengths, late = [], False
    for path in sorted(p for folder in FOLDERS for p in Path(folder).rglob("*.py")):
        text = path.read_text()
        lines = len(text.splitlines())
        lengths.append(lines)
        if lines > MODULE_AIM:
            print(f"{path}: {lines} lines")
            late |= lines > MODULE_BOUND
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > FUNCTION_AIM:
                    print(f"{path}:{node.lineno} {node.name}: {size} lines")
                    late |= size > FUNCTION_BOUND
    print(
        f"{len(lengths)} modules, median {statistics.median(lengths):.0f} lines, {sum(n <= MODULE_AIM for n in lengths)} within {MODULE_AIM}"
    )
    if late:
        print(f"bounds: {MODULE_BOUND} lines a module, {FUNCTION_BOUND} a function", file=sys.stderr)
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
