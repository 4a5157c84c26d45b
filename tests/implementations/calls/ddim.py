"""DDIM: what looks at a process only to refuse times that are not its own."""

LEFT_OUT = {
    "configurations": {"pairs(process)": "of the process it knows T alone, and that only to refuse later times"}
}
