"""What the Spark jobs share: session, batches, rules and quarantine, merge, run report. Imported by jobs alone."""
