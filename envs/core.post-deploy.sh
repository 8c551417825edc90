#!/usr/bin/env bash
# Snakemake runs this in the conda environment of core.yaml once that is made (--sdm conda). hnswlib is compiled anew, for any
# processor: pip would compile it for the one at hand, with instructions that older nodes of a cluster lack.
set -euo pipefail
HNSWLIB_NO_NATIVE=1 pip install --no-deps --no-cache-dir --force-reinstall --no-binary hnswlib hnswlib==0.8.0
