"""What every other package stands on: errors, files, sidecars, random streams; no knowledge of the study."""
