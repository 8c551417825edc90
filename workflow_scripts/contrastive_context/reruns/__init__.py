"""What would run again and why; results that outlive Snakemake's own records."""
