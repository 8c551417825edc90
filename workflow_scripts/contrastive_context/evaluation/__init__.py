"""From predictions to scores, tables and verdicts."""
