"""DDPM: what returns nothing, and refuses or not."""

LEFT_OUT = {"configurations": {"check_signal(process)": "returns nothing: it refuses a process, or does not"}}
