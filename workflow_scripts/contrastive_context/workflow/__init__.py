"""The study as a workflow: its grid, reruns, plan and checks."""
